import type { Digest } from '@drayage/core';
import { isMember, isZone } from '../contact.ts';
import {
  encodeFrame,
  FRAME,
  type FrameHead,
  HAVE_BYTES_MAX,
  HEAD_BYTES,
  malformed,
  PIECES_MAX,
  SIZE_BYTES,
} from './frame.ts';
import type { OpenTerms } from './types.ts';

/** What a digest begins with on the wire. */
const ALGORITHMS = [
  { mark: 1, name: 'sha256', bytes: 32 },
  { mark: 2, name: 'sha512', bytes: 64 },
] as const;

/** The payload of an OPEN: the digest, the size (zero: not told), and the zone for the rest. */
export function encodeOpen(digest: Digest, { zone = '', size = 0 }: OpenTerms): Buffer {
  if (zone !== '' && !isZone(zone)) throw new Error(`${zone} is no name of a zone`);
  const { mark, name } = ALGORITHMS[digest.startsWith('sha256:') ? 0 : 1];
  const told = Buffer.alloc(SIZE_BYTES);
  told.writeUIntBE(size, 0, SIZE_BYTES);
  return Buffer.concat([Buffer.of(mark), Buffer.from(digest.slice(name.length + 1), 'hex'), told, Buffer.from(zone)]);
}

/** Throws `malformed` when the payload of an OPEN names no blob, or a zone that cannot be one. */
export function decodeOpen(payload: Buffer): { digest: Digest; terms: OpenTerms } {
  const algorithm = ALGORITHMS.find(({ mark }) => payload[0] === mark);
  const digestEnd = 1 + (algorithm?.bytes ?? 0);
  const sizeEnd = digestEnd + SIZE_BYTES;
  if (algorithm === undefined || payload.length < sizeEnd) throw malformed('a digest of no known algorithm');
  const size = payload.readUIntBE(digestEnd, SIZE_BYTES);
  const zone = payload.toString('utf8', sizeEnd);
  if (zone !== '' && !isZone(zone)) throw malformed('a zone that cannot be one');
  return {
    digest: `${algorithm.name}:${payload.toString('hex', 1, digestEnd)}`,
    terms: { zone: zone || undefined, ...(size > 0 && { size }) },
  };
}

/** Throws `malformed` when the payload of a CAUGHT names nobody. */
export function decodeCaught(payload: Buffer): string {
  const member = payload.toString('latin1');
  if (!isMember(member)) throw malformed('a name that no member can have');
  return member;
}

const BITMAP = 0;
const LIST = 1;

/** The frame before its payload and the fields that say how that is to be read. */
type PiecesHead = Pick<FrameHead, 'type' | 'channel' | 'offset'>;

/** As few HAVE frames as say these pieces, and one that says only what is in flight when there are none. */
export function encodeHave(channel: number, pieces: readonly number[], inFlight: number): Buffer[] {
  const head = { type: FRAME.have, channel, offset: inFlight };
  return pieces.length > 0 ? encodePieces(head, pieces) : [encodeFrame({ ...head, extra: LIST })];
}

/** As few LOST frames as say these pieces. */
export function encodeLost(channel: number, pieces: readonly number[]): Buffer[] {
  return encodePieces({ type: FRAME.lost, channel, offset: 0 }, pieces);
}

/** Each frame has a bitmap or a list, whichever is shorter. */
function encodePieces(head: PiecesHead, pieces: readonly number[]): Buffer[] {
  const sorted = pieces.toSorted((one, other) => one - other);
  const frames: Buffer[] = [];
  for (let from = 0; from < sorted.length; ) {
    const first = sorted[from] ?? 0;
    const beyond = sorted.findIndex((piece, index) => index > from && piece - first >= HAVE_BYTES_MAX * 8);
    const group = sorted.slice(from, beyond < 0 ? sorted.length : beyond);
    frames.push(encodeGroup(head, group));
    from += group.length;
  }
  return frames;
}

function encodeGroup(head: PiecesHead, group: readonly number[]): Buffer {
  const first = group[0] ?? 0;
  const bitmapBytes = (((group.at(-1) ?? first) - first) >> 3) + 1;
  if (group.length * 4 < bitmapBytes) {
    const list = Buffer.allocUnsafe(group.length * 4);
    group.forEach((piece, index) => {
      list.writeUInt32BE(piece, index * 4);
    });
    return encodeFrame({ ...head, extra: LIST }, list);
  }
  const bitmap = Buffer.alloc(bitmapBytes);
  for (const piece of group) {
    const at = (piece - first) >> 3;
    bitmap[at] = (bitmap[at] ?? 0) | (1 << ((piece - first) & 7));
  }
  return encodeFrame({ ...head, extra: BITMAP, piece: first }, bitmap);
}

/** The pieces that a HAVE or a LOST names, to be read before its payload is gone; throws `malformed` before the first of them. */
export function decodePieces({ extra, piece }: FrameHead, payload: Buffer): Iterable<number> {
  if (extra === BITMAP) {
    const last = piece + (payload.length - 1) * 8 + (31 - Math.clz32(payload[payload.length - 1] ?? 0));
    if (last >= PIECES_MAX) throw malformed('a bitmap beyond the last piece there can be');
    return piecesOfBitmap(piece, payload);
  }
  if (piece !== 0 || payload.length % 4 !== 0) throw malformed('a list of pieces of an odd length');
  for (let at = 0; at < payload.length; at += 4)
    if (payload.readUInt32BE(at) >= PIECES_MAX) throw malformed('a list with a piece out of bounds');
  return piecesOfList(payload);
}

/** How much talk a frame without a chunk is, in bytes: those of a bitmap count more, for the pieces that each can name. */
export function talkOf({ type, extra, length }: FrameHead): number {
  const isBitmap = (type === FRAME.have || type === FRAME.lost) && extra === BITMAP;
  return HEAD_BYTES + (isBitmap ? length * 8 : length);
}

function* piecesOfBitmap(first: number, bitmap: Buffer): Generator<number> {
  for (const [at, byte] of bitmap.entries())
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) yield first + at * 8 + bit;
}

function* piecesOfList(list: Buffer): Generator<number> {
  for (let at = 0; at < list.length; at += 4) yield list.readUInt32BE(at);
}
