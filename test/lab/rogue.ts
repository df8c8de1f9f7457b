import { join } from 'node:path';
import type { Patch } from './patched-copy.ts';
import { patchedCopy } from './patched-copy.ts';

/** What a bad member does to those who ask it for pieces. */
export type Vice = 'flip' | 'forge' | 'other' | 'truncate' | 'claim' | 'stall' | 'dribble' | 'vanish';

/** Vices that are lies: bytes unlike the word that came with them, or a word unlike the truth. */
export const LIES: ReadonlySet<Vice> = new Set<Vice>(['flip', 'forge', 'other']);

const FILL = 'packages/swarm/src/fill';

/** What the sources of a bad member differ in. */
export const ROGUE_PATCHES: readonly Patch[] = [
  {
    file: `${FILL}/uploads.ts`,
    find: "import type { Neighbour } from './neighbours.ts';",
    put: "import { missend } from './misbehave.ts';\nimport type { Neighbour } from './neighbours.ts';",
  },
  { file: `${FILL}/uploads.ts`, find: 'await link.send({', put: 'await missend(parts, link, {' },
  {
    file: `${FILL}/carrier.ts`,
    find: 'const pieces = listPieces(inside.member().told);',
    put: 'const pieces = misclaim(plan.count) ?? listPieces(inside.member().told);',
  },
  {
    file: `${FILL}/carrier.ts`,
    find: 'import { keepNeighbours,',
    put: "import { misclaim } from './misbehave.ts';\nimport { keepNeighbours,",
  },
];

/** Runs inside the copy, so it is text here: what it imports lies beside it only there. */
const MISBEHAVE = `
import { hashPiece } from './piece-hash.ts';

const vice = process.env['ROGUE'];

function spoil(bytes) {
  bytes[0] ^= 1;
}

/** Sends a piece, or something in its place. */
export async function missend({ digest, attestations }, link, outgoing) {
  const { piece, length } = outgoing;
  let { attestation } = outgoing;
  if (vice === 'forge' || vice === 'other') {
    // A signed word for bytes that are not the blob's.
    const bytes = Buffer.alloc(length, 0x5a);
    if (vice === 'forge') {
      for (let at = 0; at < length; ) at += await outgoing.read(bytes.subarray(at), at);
      spoil(bytes);
    }
    attestation = attestations.make(digest, piece, hashPiece(bytes).hash);
  }
  return await link.send({ ...outgoing, attestation, read: (into, offset) => misread(link, outgoing, into, offset) });
}

async function misread(link, { length, read }, into, offset) {
  if (vice === 'stall') await new Promise(() => {});
  if (vice === 'vanish') process.kill(process.pid, 'SIGKILL');
  if (vice === 'truncate' && offset >= length / 2) {
    link.end('closed');
    throw new Error('cut off');
  }
  if (vice === 'dribble') {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return await read(into.subarray(0, 1024), offset);
  }
  if (vice === 'other') {
    const count = Math.min(into.length, length - offset);
    into.fill(0x5a, 0, count);
    return count;
  }
  const count = await read(into, offset);
  if ((vice === 'flip' || vice === 'forge') && offset === 0) spoil(into);
  return count;
}

export function misclaim(count) {
  return vice === 'claim' ? Array.from({ length: count }, (_, piece) => piece) : undefined;
}
`;

/** Makes an agent that can be any kind of bad member; returns its command line. Which kind is said by `viceOf`. */
export function makeRogue(folder: string): Promise<string> {
  return patchedCopy(join(folder, 'rogue'), ROGUE_PATCHES, { [`${FILL}/misbehave.ts`]: MISBEHAVE });
}

/** The environment that makes it one. */
export function viceOf(vice: Vice): Readonly<Record<string, string>> {
  return { ROGUE: vice };
}
