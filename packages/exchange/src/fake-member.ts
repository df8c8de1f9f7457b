import { planPieces } from '@drayage/core';
import { addPiece, type Bitmap, emptyBitmap } from './bitmap.ts';
import { stepMember } from './member.ts';
import { type Member, type MemberParts, newMember } from './member-state.ts';
import { newStanding } from './standing.ts';
import { newUplink } from './uplink.ts';
import type { Hello, MemberDecision, MemberEvent, MemberId, MemberReport } from './words.ts';

const PIECE_BYTES = 256 * 1024;

/** Chance without surprises: the same middling number every time. */
export const evenChance = (): number => 0.5;

export function bitmapOf(count: number, pieces: readonly number[]): Bitmap {
  const bits = emptyBitmap(count);
  for (const piece of pieces) addPiece(bits, piece);
  return bits;
}

export function planOf(count: number): MemberParts['plan'] {
  return planPieces(count * PIECE_BYTES);
}

/** A member with number 0, whose homes are 100, 101 and 102. */
export function fakeMember(count: number, changes: Partial<MemberParts> = {}): Member {
  const parts: MemberParts = {
    self: 0,
    plan: planOf(count),
    homes: [100, 101, 102],
    zone: undefined,
    uplink: newUplink(),
    standing: newStanding(),
    random: evenChance,
    ...changes,
  };
  return newMember(parts, 0);
}

/** A hash for each piece, as one who has sealed the blob knows them. */
export function hashesOf(count: number): string[] {
  return Array.from({ length: count }, (_, piece) => `${piece}`);
}

export function helloWith(count: number, pieces: readonly number[], changes: Partial<Hello> = {}): Hello {
  return { held: bitmapOf(count, pieces), zone: undefined, ...changes };
}

/** Lets the events happen at one moment, and gives all that is decided. */
export function happen(member: Member, now: number, ...events: readonly MemberEvent[]): MemberDecision[] {
  return events.flatMap((event) => stepMember(member, now, event));
}

/** The decisions of one kind. */
export function only<K extends MemberDecision['kind']>(
  decisions: readonly MemberDecision[],
  kind: K,
): Extract<MemberDecision, { kind: K }>[] {
  return decisions.filter((one): one is Extract<MemberDecision, { kind: K }> => one.kind === kind);
}

/** A piece that comes from a link as it ought to. */
export function arrival(link: MemberId, piece: number, author = 7): MemberEvent {
  return { kind: 'arrived', link, piece, hash: `${piece}`, attestation: { hash: `${piece}`, author } };
}

/** Lets a member get a piece from a link that offers, and keep it. */
export function receive(member: Member, now: number, link: MemberId): MemberDecision[] {
  const [request] = only(happen(member, now, { kind: 'offered', link, insists: false }), 'request');
  if (!request) throw new Error('nothing was asked for');
  const { piece } = request;
  return happen(member, now, arrival(link, piece), { kind: 'kept', piece });
}

/** A report of one who has nothing yet and wants to know others. */
export function reportWith(changes: Partial<MemberReport> = {}): MemberReport {
  return {
    held: emptyBitmap(0),
    lacking: undefined,
    caught: [],
    leased: undefined,
    wantsMembers: true,
    isFollowing: false,
    isComplete: false,
    zone: undefined,
    uplinkBytesPerSecond: 0,
    ...changes,
  };
}
