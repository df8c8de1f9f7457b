import {
  CAUGHT_TOLD_MAX,
  DOUBTERS_MAX,
  LIE_QUARANTINE_MS,
  LOOK_MS,
  MISS_MS,
  MISSES_MAX,
  MISSES_OF_FAILED,
  MISSES_QUARANTINE_MS,
  MISSES_WITHIN_MS,
  STANDING_MAX,
  WRONG_DOUBTS_MAX,
} from './limits.ts';
import type { MemberId } from './words.ts';

/** What this host thinks of other members, over all blobs. Our word alone makes nobody else believe it. */
export interface Standing {
  readonly quarantinedUntil: Map<MemberId, number>;
  readonly missedAt: Map<MemberId, number[]>;
  /** Who was caught in a lie, and until when nothing is kept on their word. */
  readonly liars: Map<MemberId, number>;
  /** How many pieces of each author were fetched again under suspicion, and found right. */
  readonly acquitted: Map<MemberId, number>;
  /** Who says of each author that it lied: a reason to look, and no more. */
  readonly doubters: Map<MemberId, Set<MemberId>>;
  /** How many of those whom this member doubted were found right. */
  readonly wrongDoubts: Map<MemberId, number>;
  /** Since when a piece of this author is being fetched again, of whatever blob. */
  readonly looks: Map<MemberId, number>;
  /** How often anybody was caught: whoever has seen as many has nothing to look for. */
  lies: number;
}

export function newStanding(): Standing {
  return {
    quarantinedUntil: new Map(),
    missedAt: new Map(),
    liars: new Map(),
    acquitted: new Map(),
    doubters: new Map(),
    wrongDoubts: new Map(),
    looks: new Map(),
    lies: 0,
  };
}

export function isQuarantined(standing: Standing, member: MemberId, now: number): boolean {
  const until = standing.quarantinedUntil.get(member);
  return until !== undefined && now < until;
}

/**
 * Notes a claim that came to nothing. True when there were so many that the member is in quarantine from now on: those
 * of one moment count once, since a member that is busy fails all who wait for it.
 */
export function noteMiss(standing: Standing, member: MemberId, now: number, most: number = MISSES_MAX): boolean {
  const recent = (standing.missedAt.get(member) ?? []).filter((at) => now - at < MISSES_WITHIN_MS);
  if (recent.some((at) => now - at < MISS_MS)) return false;
  recent.push(now);
  remember(standing.missedAt, member, recent);
  if (recent.length < most || isQuarantined(standing, member, now)) return false;
  remember(standing.quarantinedUntil, member, now + MISSES_QUARANTINE_MS);
  return true;
}

/** Whether claims of its came to nothing, and none since was kept: one may only have been slow. */
export function hasFailed({ missedAt }: Standing, member: MemberId, now: number): boolean {
  return now - (missedAt.get(member)?.at(-MISSES_OF_FAILED) ?? Number.NEGATIVE_INFINITY) < MISSES_WITHIN_MS;
}

/** The member kept its word: what it missed before was for want of time. */
export function forgive(standing: Standing, member: MemberId): void {
  standing.missedAt.delete(member);
}

/** Notes a proven lie. */
export function convict(standing: Standing, member: MemberId, now: number): void {
  remember(standing.quarantinedUntil, member, now + LIE_QUARANTINE_MS);
  remember(standing.liars, member, now + LIE_QUARANTINE_MS);
  standing.doubters.delete(member);
  standing.lies++;
}

/** Notes a piece of its that was found right under suspicion. */
export function acquit(standing: Standing, member: MemberId): void {
  const { acquitted, doubters, wrongDoubts } = standing;
  remember(acquitted, member, (acquitted.get(member) ?? 0) + 1);
  for (const doubter of doubters.get(member) ?? []) remember(wrongDoubts, doubter, (wrongDoubts.get(doubter) ?? 0) + 1);
  doubters.delete(member);
}

/** A member says that it caught an author in a lie. One who was wrong too often is not listened to any more. */
export function doubt(standing: Standing, author: MemberId, doubter: MemberId, now: number): void {
  if (author === doubter || !isHeard(standing, doubter, now) || isLiar(standing, author, now)) return;
  const doubters = standing.doubters.get(author) ?? new Set();
  if (doubters.size < DOUBTERS_MAX) doubters.add(doubter);
  remember(standing.doubters, author, doubters);
}

/** What one member says may be a lie; of two, both would have to lie. */
export const DOUBT_OF_ONE: number = 1 / 2;
export const DOUBT_OF_TWO: number = 2 / 3;

/** 0 when nobody doubts the author, else nearer to 1 the more do. */
export function doubtOf(standing: Standing, author: MemberId, now: number): number {
  let count = 0;
  for (const doubter of standing.doubters.get(author) ?? []) if (isHeard(standing, doubter, now)) count++;
  return count / (count + 1);
}

function isHeard(standing: Standing, doubter: MemberId, now: number): boolean {
  return !isLiar(standing, doubter, now) && (standing.wrongDoubts.get(doubter) ?? 0) < WRONG_DOUBTS_MAX;
}

/** Whether the author's piece may be fetched again now: false while another is. */
export function beginLook({ looks }: Standing, author: MemberId, now: number): boolean {
  if (now - (looks.get(author) ?? Number.NEGATIVE_INFINITY) < LOOK_MS) return false;
  remember(looks, author, now);
  return true;
}

export function endLook({ looks }: Standing, author: MemberId): void {
  looks.delete(author);
}

/** Those caught last. */
export function liarsLately({ liars }: Standing, now: number): MemberId[] {
  return [...liars.keys()].filter((member) => now < (liars.get(member) ?? 0)).slice(-CAUGHT_TOLD_MAX);
}

export function isLiar({ liars }: Standing, member: MemberId, now: number): boolean {
  return now < (liars.get(member) ?? 0);
}

function remember<T>(record: Map<MemberId, T>, member: MemberId, value: T): void {
  record.delete(member);
  record.set(member, value);
  const [oldest] = record.keys();
  if (record.size > STANDING_MAX && oldest !== undefined) record.delete(oldest);
}
