import { join } from 'node:path';
import type { Patch } from './patched-copy.ts';
import { patchedCopy } from './patched-copy.ts';

/** What a bad member does to those who ask it for pieces. */
export type Vice = 'flip' | 'forge' | 'other' | 'truncate' | 'claim' | 'stall' | 'dribble' | 'vanish';

/** Vices that are proven lies: bytes unlike the word that came with them, or a word unlike the truth. */
export const LIES: ReadonlySet<Vice> = new Set<Vice>(['flip', 'forge', 'other']);

const FILL = 'packages/swarm/src/fill';

const PATCHES: readonly Patch[] = [
  {
    file: `${FILL}/uploads.ts`,
    find: "import type { Neighbour } from './neighbours.ts';",
    put: "import { misread, misword } from './misbehave.ts';\nimport type { Neighbour } from './neighbours.ts';",
  },
  {
    file: `${FILL}/uploads.ts`,
    find: 'attestation: attestationOf(decision),',
    put: `attestation:
          (await misword(parts, piece, end - start, (into, offset) => read(into, start + offset))) ??
          attestationOf(decision),`,
  },
  {
    file: `${FILL}/uploads.ts`,
    find: 'const bytes = await read(into, start + offset);',
    put: 'const bytes = await misread((into, at) => read(into, start + at), into, offset, { length: end - start, link });',
  },
  {
    file: `${FILL}/carrier.ts`,
    find: 'const pieces = toldPieces(inside.member());',
    put: 'const pieces = misclaim(plan.count) ?? toldPieces(inside.member());',
  },
  {
    file: `${FILL}/carrier.ts`,
    find: "import { type Inside, toldPieces } from './part.ts';",
    put: "import { misclaim } from './misbehave.ts';\nimport { type Inside, toldPieces } from './part.ts';",
  },
];

/** Runs inside the copy, so it is text here: what it imports lies beside it only there. */
const MISBEHAVE = `
import { hashPiece } from './piece-hash.ts';

const vice = process.env['ROGUE'];

function spoil(bytes) {
  bytes[0] ^= 1;
}

/** A signed word for bytes that are not the blob's. */
export async function misword({ digest, attestations }, piece, length, read) {
  if (vice !== 'forge' && vice !== 'other') return undefined;
  const bytes = Buffer.alloc(length, 0x5a);
  if (vice === 'forge') {
    for (let at = 0; at < length; ) at += await read(bytes.subarray(at), at);
    spoil(bytes);
  }
  return attestations.make(digest, piece, hashPiece(bytes));
}

export async function misread(read, into, offset, { length, link }) {
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
  return patchedCopy(join(folder, 'rogue'), PATCHES, { [`${FILL}/misbehave.ts`]: MISBEHAVE });
}

/** The environment that makes it one. */
export function viceOf(vice: Vice): Readonly<Record<string, string>> {
  return { ROGUE: vice };
}
