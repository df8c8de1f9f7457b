import { Failure } from '@drayage/core';
import { type AdminEvent, adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import { bar, liveLines, paint } from '../terminal.ts';
import { formatSize } from '../units.ts';

/** Has the agent hash its store again. Exits 1 when a blob proved corrupt. */
export async function verify(call: Call): Promise<number> {
  const { out } = call.around;
  const draw = out.isTerminal && !call.isJson ? liveLines(out).draw : undefined;
  const corrupt: string[] = [];
  for await (const { name, data } of adminClient(call).events('/api/verify', {})) {
    if (name === 'failed') throw new Failure('unsupported', String(data['message']));
    if (name === 'corrupt') corrupt.push(String(data['digest']));
    else draw?.([progressLine(data, out)]);
    if (name === 'done')
      out.write(call.isJson ? `${JSON.stringify({ ...data, digests: corrupt })}\n` : summary(data, corrupt));
  }
  return corrupt.length > 0 ? EXIT.failed : EXIT.done;
}

function progressLine(data: AdminEvent['data'], out: Output): string {
  const bytes = Number(data['bytes']);
  const total = Number(data['totalBytes']);
  return `${paint(out, 'cyan', bar(total > 0 ? bytes / total : 1))}  ${formatSize(bytes)} / ${formatSize(total)}`;
}

function summary(data: AdminEvent['data'], corrupt: readonly string[]): string {
  const lines = corrupt.map((digest) => `corrupt, no longer served: ${digest}\n`);
  return `${lines.join('')}${data['sound']} sound, ${data['corrupt']} corrupt, ${formatSize(Number(data['bytes']))} hashed\n`;
}
