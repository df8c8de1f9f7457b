import { ANSWER_FACTOR, ANSWER_WAIT_MS_MAX } from './limits.ts';

/** How much of the usual time one answer changes. */
const ANSWER_WEIGHT = 0.2;

/** The usual time of an answer, after one that took so long. One alone does not make late answers usual. */
export function usualAnswer(usualMs: number, tookMs: number): number {
  const counted = Math.min(tookMs, ANSWER_WAIT_MS_MAX);
  return usualMs === 0 ? counted : (1 - ANSWER_WEIGHT) * usualMs + ANSWER_WEIGHT * counted;
}

/** The same after this host was itself so late: it will have been as late to hear answers, and others may be as late. */
export function usualWhenLate(usualMs: number, lateMs: number): number {
  const counted = Math.min(lateMs, ANSWER_WAIT_MS_MAX);
  return counted > usualMs ? (1 - ANSWER_WEIGHT) * usualMs + ANSWER_WEIGHT * counted : usualMs;
}

/**
 * How long to wait before silence means something. Where everybody is late, hosts are busy: to take the busy for dead, and
 * fetch again what they fetch, makes them busier. Who stopped is found soon where others answer soon.
 */
export function patientMs(leastMs: number, usualMs: number): number {
  return Math.max(leastMs, Math.min(ANSWER_FACTOR * usualMs, ANSWER_WAIT_MS_MAX));
}
