import { patientMs } from './answers.ts';
import { type Guest, type Guests, reportEvery } from './guests.ts';
import type { Home } from './home.ts';
import { complain, releaseUnseen } from './ledger.ts';
import { DOUBT_MS, LINKING_ANSWERS, PRESENT_FACTOR, TICK_MS } from './limits.ts';

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

/** A member's word has proved worthless: what rests on it alone is to be fetched again. */
export function noteLapse(home: Home, guest: Guest): void {
  guest.lapses++;
  releaseUnseen(home.ledger, guest.member);
}
