import { LinkFailure } from './reason.ts';
import { ATTESTATION_BYTES } from './types.ts';

/** Every frame begins with so many bytes: type, extra, channel (2), piece (4), offset (4), payload length (4). */
export const HEAD_BYTES = 16;
/** A small piece whole: a read and a write for each half of it took 7 % more of the processor. */
export const CHUNK_BYTES_MAX: number = 256 * 1024;
/** Channels that one side may have open on one link; their numbers are below it. */
export const CHANNELS_MAX = 1024;
/** A tebibyte in pieces of 4 MiB, the largest there is. */
export const PIECES_MAX: number = 256 * 1024;
export const HAVE_BYTES_MAX: number = 16 * 1024;
/** Transfers in flight as far as they are told. */
export const IN_FLIGHT_SAID_MAX = 255;
/** Questions and answers that are longer go over the control stream: pieces wait behind what a link says. */
export const QUESTION_BYTES_MAX: number = 16 * 1024;
const ZONE_BYTES_MAX = 64;
export const SIZE_BYTES = 6;
const PIECE_BYTES_MAX = 4 * 1024 * 1024;
const MEMBER_BYTES_MAX = 64;

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
  lost: 12,
  offer: 13,
  decline: 14,
  caught: 15,
  question: 16,
  answer: 17,
} as const;

type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface FrameHead {
  readonly type: FrameType;
  /** WANT, DECLINE: transfers in flight. HAVE, LOST: the form of the payload. OFFER: 1 when it insists. Zero elsewhere. */
  readonly extra: number;
  readonly channel: number;
  readonly piece: number;
  /** PIECE: where in the piece its bytes belong. HAVE: transfers in flight. Zero elsewhere. */
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
  [FRAME.open, { ...ON_CHANNEL, extra: 1, lengths: [33 + SIZE_BYTES, 65 + SIZE_BYTES + ZONE_BYTES_MAX] }],
  [FRAME.close, ON_CHANNEL],
  [FRAME.have, { ...OF_PIECE, extra: 1, offset: IN_FLIGHT_SAID_MAX, lengths: [0, HAVE_BYTES_MAX] }],
  [FRAME.lost, { ...OF_PIECE, extra: 1, lengths: [1, HAVE_BYTES_MAX] }],
  [FRAME.offer, { ...ON_CHANNEL, extra: 1 }],
  [FRAME.decline, { ...ON_CHANNEL, extra: IN_FLIGHT_SAID_MAX }],
  [FRAME.want, { ...OF_PIECE, extra: IN_FLIGHT_SAID_MAX }],
  [FRAME.piece, { ...OF_PIECE, offset: PIECE_BYTES_MAX - 1, lengths: [1, CHUNK_BYTES_MAX + ATTESTATION_BYTES] }],
  [FRAME.busy, OF_PIECE],
  [FRAME.gone, OF_PIECE],
  [FRAME.cancel, OF_PIECE],
  [FRAME.caught, { ...PLAIN, lengths: [1, MEMBER_BYTES_MAX] }],
  [FRAME.question, { ...PLAIN, lengths: [1, QUESTION_BYTES_MAX] }],
  [FRAME.answer, { ...PLAIN, lengths: [1, QUESTION_BYTES_MAX] }],
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
  const isChunk = head.type === FRAME.piece;
  const attestation = isChunk && head.offset === 0 ? ATTESTATION_BYTES : 0;
  const [least, most] = rule.lengths;
  if (head.length < least + attestation || head.length > (isChunk ? CHUNK_BYTES_MAX + attestation : most))
    throw malformed(`a frame of type ${head.type} with ${head.length} bytes`);
  return head;
}

/** One number for a piece on a channel. */
export function keyOf(channel: number, piece: number): number {
  return channel * PIECES_MAX + piece;
}

/** What this did ends its link. */
export function malformed(what: string): LinkFailure {
  return new LinkFailure('malformed', `sent ${what}`);
}
