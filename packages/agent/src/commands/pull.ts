import { FAILURE_CODES, Failure, type FailureCode, shortOf } from '@drayage/core';
import { type AdminEvent, adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import type { BlobProgress } from '../pull-image.ts';
import { bar, liveLines, paint } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

/** Has the agent fetch an image, and shows how it goes. */
export async function pull(call: Call): Promise<number> {
  const { out } = call.around;
  const [reference = ''] = call.arguments.positionals;
  const platform = call.arguments.values.get('platform')?.at(-1);
  const show = call.isJson ? jsonLines(out) : out.isTerminal ? bars(out) : lines(out);
  for await (const event of adminClient(call).events('/api/pulls', { reference, platform })) {
    if (event.name === 'failed') throw failure(event);
    show(event);
  }
  return EXIT.done;
}

type Show = (event: AdminEvent) => void;

function failure({ data }: AdminEvent): Error {
  const code = FAILURE_CODES.find((known): known is FailureCode => known === data['code']);
  return code ? new Failure(code, String(data['message'])) : new Error(String(data['message']));
}

function jsonLines(out: Output): Show {
  return ({ name, data }) => out.write(`${JSON.stringify({ event: name, ...data })}\n`);
}

function blobsOf({ data }: AdminEvent): readonly BlobProgress[] {
  return (data['blobs'] as readonly BlobProgress[] | undefined) ?? [];
}

function bars(out: Output): Show {
  const live = liveLines(out);
  const startedAt = Date.now();
  return (event) => {
    if (event.name === 'done') return out.write(summary(event, out));
    const blobs = blobsOf(event);
    const sum = (pick: (blob: BlobProgress) => number) => blobs.reduce((all, blob) => all + pick(blob), 0);
    const bytes = sum((blob) => blob.bytes);
    const seconds = (Date.now() - startedAt) / 1000;
    const rate = seconds > 0.5 ? `  ${formatSize(bytes / seconds)}/s` : '';
    const total = `${formatSize(bytes)} / ${formatSize(sum(({ size }) => size))}${rate}`;
    // Where not all have room, those that are not here yet come last, which is where the screen is.
    const inOrder = [...blobs].sort((a, b) => Number(isHere(b)) - Number(isHere(a)));
    const shown = blobs.length < out.rows() - 1 ? blobs : inOrder;
    return live.draw([...shown.map((blob) => blobLine(blob, out)), paint(out, 'grey', `${' '.repeat(19)}  ${total}`)]);
  };
}

function isHere({ size, bytes, source }: BlobProgress): boolean {
  return bytes === size && source !== undefined;
}

function blobLine(blob: BlobProgress, out: Output): string {
  const { digest, size, bytes, source } = blob;
  const isDone = isHere(blob);
  const drawn = paint(
    out,
    isDone ? 'green' : source === undefined ? 'grey' : 'cyan',
    bar(size > 0 ? bytes / size : Number(isDone)),
  );
  const held = isDone ? formatSize(size) : `${formatSize(bytes)} / ${formatSize(size)}`;
  return `${shortOf(digest)}  ${drawn}  ${held.padEnd(21)}  ${source === undefined ? 'waiting' : `from ${source}`}`;
}

/** One line per blob, when it is here. */
function lines(out: Output): Show {
  const told = new Set<string>();
  return (event) => {
    if (event.name === 'done') return out.write(summary(event, out));
    for (const blob of blobsOf(event)) {
      if (!isHere(blob) || told.has(blob.digest)) continue;
      told.add(blob.digest);
      out.write(`${blob.digest}  ${formatSize(blob.size)}  from ${blob.source}\n`);
    }
    return undefined;
  };
}

function summary({ data }: AdminEvent, out: Output): string {
  const from = Object.entries(data['bytesFrom'] as Record<string, number>)
    .map(([source, bytes]) => `${formatSize(bytes)} from ${source}`)
    .join(', ');
  const took = formatDuration(Number(data['seconds']) * 1000);
  return `${paint(out, 'bold', `${data['reference']}`)} ${data['digest']}\n${from || 'nothing to fetch'} in ${took}\n`;
}
