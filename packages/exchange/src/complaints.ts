import { patientMs } from './answers.ts';
import { type Guest, type Guests, reportEvery } from './guests.ts';
import type { Home } from './home.ts';
import { complain, releaseFetched, releaseUnseen } from './ledger.ts';
import {
  ACCUSED_MAX,
  ACCUSERS_MAX,
  ACCUSERS_SHARE,
  DOUBT_MS,
  LINKING_ANSWERS,
  PRESENT_FACTOR,
  TICK_MS,
} from './limits.ts';
import type { MemberId } from './words.ts';

/** A member says what it cannot find. Pieces that are long looked for in vain are free again. */
export function hearComplaints(home: Home, guest: Guest, lacking: readonly number[], now: number): void {
  const { guests, ledger } = home;
  for (const piece of lacking) {
    if (piece >= home.plan.count) return;
    const fetcher = guests.byId.get(ledger.fetchers[piece] ?? guest.member);
    const outcome = complain(ledger, piece, { by: guest.member, doubtMs: doubtOf(guests, fetcher, now) }, now);
    if (outcome === 'lied' && fetcher) noteLapse(home, fetcher);
  }
}

/** How long a piece is looked for in vain before that counts. Who goes on saying that it has it may only be busy. */
function doubtOf(guests: Guests, fetcher: Guest | undefined, now: number): number {
  const isPresent = fetcher !== undefined && now - fetcher.heardAt < reportEvery(guests) + TICK_MS + guests.answerMs;
  return (isPresent ? PRESENT_FACTOR : 1) * patientMs(DOUBT_MS, LINKING_ANSWERS * guests.answerMs);
}

/**
 * A member caught others in a lie. Anyone can say so of anyone: one voice counts once, and for nothing by itself. When so
 * many say it that not all of them are in league, the liar fetches no more, and what it fetched is to be fetched again.
 */
export function hearCaught(home: Home, guest: Guest, caught: readonly MemberId[]): readonly Guest[] {
  const { byId } = home.guests;
  const enough = Math.max(2, Math.min(ACCUSERS_MAX, ACCUSERS_SHARE * byId.size));
  const found: Guest[] = [];
  for (const id of caught) {
    const liar = byId.get(id);
    if (!liar || liar === guest || liar.accusers.size >= enough || liar.accusers.has(guest.member)) continue;
    if (guest.accused === ACCUSED_MAX) return found;
    guest.accused++;
    liar.accusers.add(guest.member);
    if (liar.accusers.size < enough) continue;
    liar.isRefused = true;
    // Nor does it count what such a one says it has.
    liar.lapses++;
    releaseFetched(home.ledger, id);
    found.push(liar);
  }
  return found;
}

/** A member's word has proved worthless: what rests on it alone is to be fetched again. */
export function noteLapse(home: Home, guest: Guest): void {
  guest.lapses++;
  releaseUnseen(home.ledger, guest.member);
}
