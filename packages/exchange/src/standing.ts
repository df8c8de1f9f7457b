import {
  LIE_QUARANTINE_MS,
  MISS_MS,
  MISSES_MAX,
  MISSES_QUARANTINE_MS,
  MISSES_WITHIN_MS,
  STANDING_MAX,
} from './limits.ts';
import type { MemberId } from './words.ts';

/** What this host thinks of other members, over all blobs. Told to nobody, so nobody can be defamed. */
export interface Standing {
  readonly quarantinedUntil: Map<MemberId, number>;
  readonly missedAt: Map<MemberId, number[]>;
  /** Who was caught in a lie, and until when nothing is kept on their word. */
  readonly liars: Map<MemberId, number>;
  /** How often anybody was caught: whoever has seen as many has nothing to look for. */
  lies: number;
}

export function newStanding(): Standing {
  return { quarantinedUntil: new Map(), missedAt: new Map(), liars: new Map(), lies: 0 };
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

export function isLiar({ liars }: Standing, member: MemberId, now: number): boolean {
  return now < (liars.get(member) ?? 0);
}

function remember<T>(record: Map<MemberId, T>, member: MemberId, value: T): void {
  record.delete(member);
  record.set(member, value);
  const [oldest] = record.keys();
  if (record.size > STANDING_MAX && oldest !== undefined) record.delete(oldest);
}
