import { type HeldBlob, shortOf } from '@drayage/core';
import { adminClient } from '../admin-client.ts';
import { type Call, EXIT } from '../command.ts';
import type { HeldImage } from '../held-images.ts';
import { table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

interface ListedBlob extends HeldBlob {
  readonly mediaType?: string;
  readonly repositories: readonly string[];
}

/** Lists the blobs in the store. */
export async function blobs(call: Call): Promise<number> {
  const { out } = call.around;
  const held = await adminClient(call).get<{ total: number; blobs: readonly ListedBlob[] }>('/api/blobs');
  if (call.isJson) {
    out.write(`${JSON.stringify(held)}\n`);
    return EXIT.done;
  }
  const rows = held.blobs.map(({ digest, size, lastUsedAt, repositories }) => [
    digest,
    formatSize(size),
    ago(lastUsedAt),
    repositories[0] ?? '',
  ]);
  out.write(table(out, ['DIGEST', 'SIZE', 'USED', 'REPOSITORY'], rows));
  if (held.total > held.blobs.length) out.write(`and ${held.total - held.blobs.length} more\n`);
  return EXIT.done;
}

/** Lists the images this host knows. */
export async function images(call: Call): Promise<number> {
  const { out } = call.around;
  const known = await adminClient(call).get<{ images: readonly HeldImage[] }>('/api/images');
  if (call.isJson) {
    out.write(`${JSON.stringify(known)}\n`);
    return EXIT.done;
  }
  const rows = known.images.map((image) => [
    `${image.repository}:${image.tag}`,
    shortOf(image.digest),
    `${formatSize(image.heldBytes)} of ${formatSize(image.totalBytes)}`,
    image.isComplete ? 'complete' : 'partial',
    ago(image.seenAt),
  ]);
  out.write(table(out, ['IMAGE', 'DIGEST', 'HELD', 'STATE', 'SEEN'], rows));
  return EXIT.done;
}

/** Removes one blob. */
export async function remove(call: Call): Promise<number> {
  const [digest = ''] = call.arguments.positionals;
  await adminClient(call).remove(`/api/blobs/${encodeURIComponent(digest)}`);
  call.around.out.write(call.isJson ? `${JSON.stringify({ removed: digest })}\n` : `removed ${digest}\n`);
  return EXIT.done;
}

function ago(time: number): string {
  return `${formatDuration(Math.max(Date.now() - time, 0))} ago`;
}
