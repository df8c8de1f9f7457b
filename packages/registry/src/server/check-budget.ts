import { setBounded } from './flight.ts';

/** How often an origin is asked who may read. */
interface CheckBudget {
  /** Whether it may be asked once more now. Those who were let in before do not compete with strangers. */
  take(origin: string, isKnown: boolean): boolean;
}

const CHECKS_PER_SECOND_MAX = 100;
const ORIGINS_MAX = 1024;

/** A budget of so many checks per second and origin for those who were let in before, and as many for all others. */
export function checkBudget(now: () => number): CheckBudget {
  const left = new Map<string, { readonly checks: number; readonly at: number }>();
  return {
    take(origin, isKnown) {
      const key = `${origin} ${isKnown}`;
      const last = left.get(key) ?? { checks: CHECKS_PER_SECOND_MAX, at: now() };
      const passed = Math.max(0, now() - last.at) / 1000;
      const checks = Math.min(CHECKS_PER_SECOND_MAX, last.checks + passed * CHECKS_PER_SECOND_MAX);
      const isLeft = checks >= 1;
      setBounded(left, [key, { checks: isLeft ? checks - 1 : checks, at: now() }], 2 * ORIGINS_MAX);
      return isLeft;
    },
  };
}
