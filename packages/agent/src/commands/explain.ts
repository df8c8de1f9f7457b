import { adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import type { ExplainedBlob, Explanation, ToldFill } from '../explain.ts';
import { paint, shortMember, table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

/** Tells where the bytes of a blob, or of an image's blobs, came from. */
export async function explain(call: Call): Promise<number> {
  const { out } = call.around;
  const [target = ''] = call.arguments.positionals;
  const told = await adminClient(call).get<Explanation>(`/api/explain/${encodeURIComponent(target)}`);
  out.write(call.isJson ? `${JSON.stringify(told)}\n` : format(told, out));
  return EXIT.done;
}

function format({ image, blobs }: Explanation, out: Output): string {
  const fills = blobs.flatMap(({ stories }) => stories.slice(0, 1));
  const name = image && `${image.repository}${image.tag === undefined ? '' : `:${image.tag}`}`;
  const total = fills.length > 0 ? `its latest fills: ${summary(fills)}\n\n` : '\n';
  const head = name === undefined ? '' : `${paint(out, 'bold', name)}  ${image?.digest}\n${total}`;
  return head + blobs.map((blob) => blobText(blob, out)).join('\n');
}

/** Where the bytes of several fills came from, all together. */
function summary(fills: readonly ToldFill[]): string {
  const sum = (pick: (fill: ToldFill) => number) => fills.reduce((all, fill) => all + pick(fill), 0);
  const disk = sum(({ diskBytes }) => diskBytes);
  const members = sum(({ memberBytes }) => memberBytes);
  const origin = sum(({ fromOrigin }) => fromOrigin.bytes);
  const all = disk + members + origin;
  const part = (bytes: number, from: string) =>
    bytes > 0 ? [`${formatSize(bytes)} (${share(bytes, all)}) ${from}`] : [];
  const parts = [...part(disk, 'from disk'), ...part(members, 'from members'), ...part(origin, 'from the origin')];
  return parts.join(', ') || 'nothing has come yet';
}

function blobText(blob: ExplainedBlob, out: Output): string {
  const size = blob.size === undefined ? '' : `  ${formatSize(blob.size)}`;
  const head = `${paint(out, 'bold', blob.digest)}${size}${blob.mediaType === undefined ? '' : `  ${blob.mediaType}`}\n`;
  if (blob.stories.length > 0) return head + blob.stories.map((fill) => fillText(fill, out)).join('');
  return `${head}  ${blob.isHeld ? 'on the disk; no recent fill was of it' : 'not here'}\n`;
}

function fillText(fill: ToldFill, out: Output): string {
  const took = formatDuration((fill.endedAt ?? Date.now()) - fill.startedAt);
  const colour = fill.state === 'sealed' ? 'green' : fill.state === 'filling' ? 'cyan' : 'red';
  const ended = `${fill.state === 'filling' ? 'filling for' : `${fill.state} after`} ${took}`;
  const began = `, begun ${new Date(fill.startedAt).toISOString()}`;
  const lines = [paint(out, colour, ended) + began, ...sourceLines(fill), ...problemLines(fill, out)];
  if (fill.home !== undefined) lines.push(`  ${shortMember(fill.home)} decided who may use the origin`);
  const notes = fill.notes.map(({ at, text }) => `  +${formatDuration(at - fill.startedAt)}  ${text}`);
  return [...lines, ...memberLines(fill, out), ...notes].map((line) => `  ${line}\n`).join('');
}

function sourceLines(fill: ToldFill): readonly string[] {
  const { diskBytes, memberBytes, fromOrigin, fromMembers, origin } = fill;
  const all = diskBytes + memberBytes + fromOrigin.bytes;
  const givers = fromMembers.filter(({ bytes }) => bytes > 0).length;
  const rows: readonly (readonly [bytes: number, text: string])[] = [
    [diskBytes, 'from disk, of an earlier fill'],
    [memberBytes, givers > 0 ? `from ${count(givers, 'member')}` : 'from members'],
    [fromOrigin.bytes, `from ${origin}${requestsOf(fromOrigin)}`],
  ];
  const shown = rows.filter(([bytes]) => bytes > 0);
  return shown.map(([bytes, text]) => `  ${formatSize(bytes).padStart(9)}  ${share(bytes, all).padStart(5)}  ${text}`);
}

function requestsOf({ requests, failures }: ToldFill['fromOrigin']): string {
  if (requests === undefined) return '';
  return ` in ${count(requests, 'request')}${failures ? `, ${failures} failed` : ''}`;
}

function problemLines({ problem }: ToldFill, out: Output): readonly string[] {
  return problem === undefined ? [] : [`  ${paint(out, 'red', problem)}`];
}

const HEADING = ['MEMBER', 'ZONE', 'BYTES', 'PIECES', 'WAS BUSY', 'HAD IT NOT', 'CALLED OFF', 'REJECTED'];

function memberLines({ fromMembers }: ToldFill, out: Output): readonly string[] {
  if (fromMembers.length === 0) return [];
  const rows = [...fromMembers]
    .sort((a, b) => b.bytes - a.bytes)
    .map(({ member, zone, bytes, pieces, refusals, calledOff, rejected }) => [
      shortMember(member),
      zone ?? '',
      formatSize(bytes),
      ...[pieces, refusals.busy, refusals.gone, calledOff, rejected].map(String),
    ]);
  const lines = table(out, HEADING, rows).trimEnd().split('\n');
  return lines.map((line) => `  ${line}`);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function share(bytes: number, all: number): string {
  return `${((bytes / Math.max(all, 1)) * 100).toFixed(0)} %`;
}
