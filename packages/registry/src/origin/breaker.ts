import type { Report } from '@drayage/core';

const FAILURES_MAX = 5;
const openFirstMs = 5_000;
const openMaxMs = 60_000;

/** How a request ended: with any answer below 500, not at all, or for a reason that says nothing about the origin. */
export type Outcome = 'answered' | 'failed' | 'unknown';

export interface Breaker {
  state(): 'closed' | 'open' | 'half-open';
  /** Undefined while the origin is left alone; else to be called once with how the request ended. */
  admit(): ((outcome: Outcome) => void) | undefined;
}

/** Leaves an origin alone for a while once it has failed five times running, then lets one request find out. */
export function breakerFor(origin: string, now: () => number, report: Report): Breaker {
  let state: 'closed' | 'open' | 'half-open' = 'closed';
  let failures = 0;
  let openMs = openFirstMs;
  let openUntil = 0;
  let probing = false;

  function become(next: typeof state): void {
    if (state === next) return;
    state = next;
    report({ kind: 'breaker', origin, state });
  }

  function open(): void {
    openUntil = now() + openMs;
    openMs = Math.min(openMs * 2, openMaxMs);
    become('open');
  }

  function settle(outcome: Outcome, probe: boolean): void {
    if (probe) probing = false;
    if (outcome === 'answered') {
      failures = 0;
      openMs = openFirstMs;
      become('closed');
    } else if (outcome === 'failed') {
      failures += 1;
      // A request from before the opening that fails late must not prolong it.
      if (probe || (state === 'closed' && failures >= FAILURES_MAX)) open();
    }
  }

  return {
    state: () => state,
    admit() {
      if (state === 'closed') return (outcome) => settle(outcome, false);
      if (probing || now() < openUntil) return undefined;
      probing = true;
      become('half-open');
      return (outcome) => settle(outcome, true);
    },
  };
}
