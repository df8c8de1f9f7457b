import { BLOB_BYTES_MAX, type Digest, Failure, type PiecePlan, parseDigest, planPieces } from '@drayage/core';
import { type Bitmap, emptyBitmap, type MemberId, type MemberReport, type Run } from '@drayage/exchange';
import { type Contact, isMember, parseContact } from '../contact.ts';

const UPLINK_BYTES_PER_SECOND_MAX = 1e12;
const CAUGHT_MAX = 8;

/** A blob, as members and its home name it. The size belongs to it: it says how the blob is cut. */
export interface About {
  readonly digest: Digest;
  readonly size: number;
}

/** A member's report as it travels. */
interface ReportMessage extends About {
  readonly contact: Contact;
  readonly held: string;
  readonly lacking?: string;
  readonly leased?: string;
  readonly caught?: readonly string[];
  readonly wantsMembers: boolean;
  readonly isFollowing: boolean;
  readonly isComplete: boolean;
  readonly uplinkBytesPerSecond: number;
}

/** Members by the numbers that this host has for them. */
interface Names {
  memberOf(id: MemberId): string | undefined;
  /** Undefined for one that was never met: a name alone makes nobody known. */
  knownAs(member: string): MemberId | undefined;
}

export function encodeReport(
  { digest, size }: About,
  contact: Contact,
  report: MemberReport,
  names: Pick<Names, 'memberOf'>,
): ReportMessage {
  const { held, lacking, leased, caught, wantsMembers, isFollowing, isComplete, uplinkBytesPerSecond } = report;
  return {
    ...{ digest, size, contact, wantsMembers, isFollowing, isComplete, uplinkBytesPerSecond },
    held: encodeBitmap(held),
    ...(lacking && { lacking: encodeBitmap(lacking) }),
    ...(leased && { leased: encodeBitmap(leased) }),
    ...(caught.length > 0 && { caught: caught.map(names.memberOf).filter((name) => name !== undefined) }),
  };
}

/** Throws what is told to the member when it is no report of its own. */
export function decodeReport(
  member: string,
  body: unknown,
  names: Pick<Names, 'knownAs'>,
): About & { contact: Contact; report: MemberReport } {
  const about = decodeAbout(body);
  const message = body as Partial<Record<keyof ReportMessage, unknown>>;
  const contact = parseContact(message.contact);
  if (contact?.member !== member) throw new Failure('denied', 'a member can only speak for itself');
  const plan = planPieces(about.size);
  const optional = (value: unknown) => (value === undefined ? undefined : decodeBitmap(value, plan));
  const report: MemberReport = {
    held: decodeBitmap(message.held, plan),
    lacking: optional(message.lacking),
    leased: optional(message.leased),
    caught: decodeCaught(message.caught, names),
    wantsMembers: message.wantsMembers === true,
    isFollowing: message.isFollowing === true,
    isComplete: message.isComplete === true,
    zone: contact.zone,
    uplinkBytesPerSecond: decodeUplink(message.uplinkBytesPerSecond),
  };
  return { ...about, contact, report };
}

function decodeCaught(value: unknown, { knownAs }: Pick<Names, 'knownAs'>): MemberId[] {
  const named = Array.isArray(value) ? value.slice(0, CAUGHT_MAX).filter(isMember) : [];
  return named.map(knownAs).filter((id) => id !== undefined);
}

/** Not known, when it is no number that an uplink can have. */
export function decodeUplink(value: unknown): number {
  return typeof value === 'number' && value >= 0 && value <= UPLINK_BYTES_PER_SECOND_MAX ? value : 0;
}

export function decodeAbout(body: unknown): About {
  const { digest: text, size } = (body ?? {}) as Partial<Record<string, unknown>>;
  const digest = typeof text === 'string' ? parseDigest(text) : undefined;
  if (!digest || !Number.isSafeInteger(size) || Number(size) < 1 || Number(size) > BLOB_BYTES_MAX)
    throw new Failure('digest_invalid', 'that is no blob');
  return { digest, size: Number(size) };
}

/** Throws when it is no run of the blob's pieces. */
export function decodeRun(body: unknown, plan: PiecePlan): Run {
  const { start, end } = (body ?? {}) as Partial<Record<string, unknown>>;
  const isRun = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!isRun || Number(start) < 0 || Number(start) >= Number(end) || Number(end) > plan.count)
    throw new Failure('range_invalid', 'that is no run of pieces');
  return { start: Number(start), end: Number(end) };
}

/** Pieces of the blob, in a message that names several. */
export function decodePieces(body: unknown, plan: PiecePlan): readonly number[] {
  const { pieces } = (body ?? {}) as Partial<Record<string, unknown>>;
  if (!Array.isArray(pieces) || pieces.length > plan.count) throw new Failure('range_invalid', 'those are no pieces');
  return pieces.filter((piece) => Number.isSafeInteger(piece) && piece >= 0 && piece < plan.count);
}

function encodeBitmap(bits: Bitmap): string {
  return Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64');
}

function decodeBitmap(text: unknown, plan: PiecePlan): Bitmap {
  const bits = emptyBitmap(plan.count);
  if (typeof text !== 'string') throw new Failure('range_invalid', 'that is no set of pieces');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== bits.byteLength) throw new Failure('range_invalid', 'that is a set of other pieces');
  for (let word = 0; word < bits.length; word++) bits[word] = bytes.readUInt32LE(4 * word);
  // Bits beyond the last piece mean nothing, and would count.
  if (plan.count & 31) bits[bits.length - 1] = (bits.at(-1) ?? 0) & (0xffffffff >>> (32 - (plan.count & 31)));
  return bits;
}
