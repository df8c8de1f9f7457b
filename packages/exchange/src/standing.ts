import {
  CAUGHT_TOLD_MAX,
  LIE_QUARANTINE_MS,
  MISS_MS,
  MISSES_MAX,
  MISSES_OF_FAILED,
  MISSES_QUARANTINE_MS,
  MISSES_WITHIN_MS,
  STANDING_MAX,
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
  /** How often anybody was caught: whoever has seen as many has nothing to look for. */
  lies: number;
}

export function newStanding(): Standing {
  return { quarantinedUntil: new Map(), missedAt: new Map(), liars: new Map(), acquitted: new Map(), lies: 0 };
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
  standing.lies++;
}

/** Notes a piece of its that was found right under suspicion. */
export function acquit(standing: Standing, member: MemberId): void {
  remember(standing.acquitted, member, (standing.acquitted.get(member) ?? 0) + 1);
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
