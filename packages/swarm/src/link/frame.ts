import type { Digest } from '@drayage/core';
import { LinkFailure } from './reason.ts';

/** Every frame begins with so many bytes: type, extra, channel (2), piece (4), offset (4), payload length (4). */
export const HEAD_BYTES = 16;
export const HASH_BYTES = 32;
export const CHUNK_BYTES_MAX: number = 128 * 1024;
/** Channels that one side may have open on one link; their numbers are below it. */
export const CHANNELS_MAX = 1024;
/** A tebibyte in pieces of 4 MiB, the largest there is. */
export const PIECES_MAX: number = 256 * 1024;
export const HAVE_BYTES_MAX: number = 16 * 1024;
const PIECE_BYTES_MAX = 4 * 1024 * 1024;

export const FRAME = {
  hello: 1,
  open: 2,
  close: 3,
  have: 4,
  want: 5,
  piece: 6,
  busy: 7,
  gone: 8,
  cancel: 9,
  ping: 10,
  pong: 11,
} as const;

type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface FrameHead {
  readonly type: FrameType;
  /** WANT: how many transfers the asker has in flight. HAVE: the form of its payload. Zero elsewhere. */
  readonly extra: number;
  readonly channel: number;
  readonly piece: number;
  readonly offset: number;
  readonly length: number;
}

/** The largest value of each field, and how long the payload may be. */
interface Rule {
  readonly extra: number;
  readonly channel: number;
  readonly piece: number;
  readonly offset: number;
  readonly lengths: readonly [least: number, most: number];
}

const PLAIN: Rule = { extra: 0, channel: 0, piece: 0, offset: 0, lengths: [0, 0] };
const ON_CHANNEL: Rule = { ...PLAIN, channel: CHANNELS_MAX - 1 };
const OF_PIECE: Rule = { ...ON_CHANNEL, piece: PIECES_MAX - 1 };

/** HELLO is missing: it is read before there are frames, and never again. */
const RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [FRAME.open, { ...ON_CHANNEL, lengths: [33, 65] }],
  [FRAME.close, ON_CHANNEL],
  [FRAME.have, { ...OF_PIECE, extra: 1, lengths: [1, HAVE_BYTES_MAX] }],
  [FRAME.want, { ...OF_PIECE, extra: 255 }],
  [FRAME.piece, { ...OF_PIECE, offset: PIECE_BYTES_MAX - 1, lengths: [1, CHUNK_BYTES_MAX + HASH_BYTES] }],
  [FRAME.busy, OF_PIECE],
  [FRAME.gone, OF_PIECE],
  [FRAME.cancel, OF_PIECE],
  [FRAME.ping, PLAIN],
  [FRAME.pong, PLAIN],
]);

/** Writes the head of a frame at `at`; what is not named is zero. */
export function writeHead(into: Buffer, at: number, head: Partial<FrameHead> & Pick<FrameHead, 'type'>): void {
  into[at] = head.type;
  into[at + 1] = head.extra ?? 0;
  into.writeUInt16BE(head.channel ?? 0, at + 2);
  into.writeUInt32BE(head.piece ?? 0, at + 4);
  into.writeUInt32BE(head.offset ?? 0, at + 8);
  into.writeUInt32BE(head.length ?? 0, at + 12);
}

export function encodeFrame(
  head: Omit<Partial<FrameHead>, 'length'> & Pick<FrameHead, 'type'>,
  payload?: Buffer,
): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + (payload?.length ?? 0));
  writeHead(frame, 0, { ...head, length: payload?.length ?? 0 });
  payload?.copy(frame, HEAD_BYTES);
  return frame;
}

/** The head of a frame, each field within its bounds; throws `malformed` otherwise. */
export function decodeHead(bytes: Buffer): FrameHead {
  const head = {
    type: bytes.readUInt8(0) as FrameType,
    extra: bytes.readUInt8(1),
    channel: bytes.readUInt16BE(2),
    piece: bytes.readUInt32BE(4),
    offset: bytes.readUInt32BE(8),
    length: bytes.readUInt32BE(12),
  };
  const rule = RULES.get(head.type);
  if (rule === undefined) throw malformed(`a frame of the unknown type ${head.type}`);
  const { extra, channel, piece, offset } = rule;
  if (head.extra > extra || head.channel > channel || head.piece > piece || head.offset > offset)
    throw malformed(`a frame of type ${head.type} with a field out of bounds`);
  const hash = head.type === FRAME.piece && head.offset === 0 ? HASH_BYTES : 0;
  const [least, most] = rule.lengths;
  const isChunk = head.type === FRAME.piece;
  if (head.length < least + hash || head.length > (isChunk ? CHUNK_BYTES_MAX + hash : most))
    throw malformed(`a frame of type ${head.type} with ${head.length} bytes`);
  return head;
}

/** One number for a piece on a channel. */
export function keyOf(channel: number, piece: number): number {
  return channel * PIECES_MAX + piece;
}

const ALGORITHMS = [
  { mark: 1, name: 'sha256', bytes: 32 },
  { mark: 2, name: 'sha512', bytes: 64 },
] as const;

export function encodeDigest(digest: Digest): Buffer {
  const { mark, name } = ALGORITHMS[digest.startsWith('sha256:') ? 0 : 1];
  return Buffer.concat([Buffer.of(mark), Buffer.from(digest.slice(name.length + 1), 'hex')]);
}

/** Throws `malformed` when the payload of an OPEN names no blob. */
export function decodeDigest(payload: Buffer): Digest {
  const algorithm = ALGORITHMS.find(({ mark, bytes }) => payload[0] === mark && payload.length === bytes + 1);
  if (algorithm === undefined) throw malformed('a digest of no known algorithm');
  return `${algorithm.name}:${payload.toString('hex', 1)}`;
}

const BITMAP = 0;
const LIST = 1;

/** As few HAVE frames as say these pieces, each as a bitmap or as a list, whichever is shorter. */
export function encodeHave(channel: number, pieces: readonly number[]): Buffer[] {
  const sorted = pieces.toSorted((one, other) => one - other);
  const frames: Buffer[] = [];
  for (let from = 0; from < sorted.length; ) {
    const first = sorted[from] ?? 0;
    const beyond = sorted.findIndex((piece, index) => index > from && piece - first >= HAVE_BYTES_MAX * 8);
    const group = sorted.slice(from, beyond < 0 ? sorted.length : beyond);
    frames.push(encodeGroup(channel, group));
    from += group.length;
  }
  return frames;
}

function encodeGroup(channel: number, group: readonly number[]): Buffer {
  const first = group[0] ?? 0;
  const bitmapBytes = (((group.at(-1) ?? first) - first) >> 3) + 1;
  if (group.length * 4 < bitmapBytes) {
    const list = Buffer.allocUnsafe(group.length * 4);
    group.forEach((piece, index) => {
      list.writeUInt32BE(piece, index * 4);
    });
    return encodeFrame({ type: FRAME.have, extra: LIST, channel }, list);
  }
  const bitmap = Buffer.alloc(bitmapBytes);
  for (const piece of group) {
    const at = (piece - first) >> 3;
    bitmap[at] = (bitmap[at] ?? 0) | (1 << ((piece - first) & 7));
  }
  return encodeFrame({ type: FRAME.have, extra: BITMAP, channel, piece: first }, bitmap);
}

/** The pieces that a HAVE names, to be read before its payload is gone; throws `malformed` before the first of them. */
export function decodeHave({ extra, piece }: FrameHead, payload: Buffer): Iterable<number> {
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

function* piecesOfBitmap(first: number, bitmap: Buffer): Generator<number> {
  for (const [at, byte] of bitmap.entries())
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) yield first + at * 8 + bit;
}

function* piecesOfList(list: Buffer): Generator<number> {
  for (let at = 0; at < list.length; at += 4) yield list.readUInt32BE(at);
}

function malformed(what: string): LinkFailure {
  return new LinkFailure('malformed', `sent ${what}`);
}
