import { Failure, isFailure, type Remote, shortOf } from '@drayage/core';
import type { Inside } from './part-types.ts';

/** How long a fill goes on without a byte from anyone while its origin fails. */
const PATIENCE_MS = 12_000;
/** The same when no member that is linked has any of it. */
const EMPTY_PATIENCE_MS = 3000;
/** The same when there is no member at all. */
const LONELY_PATIENCE_MS = 1500;
/** Failures of the origin, not refusals, after which it counts as failing. */
const FAILURES_MIN = 2;

/** Ends a fill that nobody can help any more: a client that is told so goes elsewhere, one that hangs does not. */
export interface Patience {
  failed(error: Error): void;
  /** What the origin last said. */
  problem(): Error | undefined;
  look(): void;
}

export function watchPatience({ shared, digest, member, end }: Inside, { origin }: Remote): Patience {
  const { now } = shared;
  let failures = 0;
  let failingSince = 0;
  let isRefused = false;
  let latest: Error | undefined;

  return {
    failed(error) {
      if (failures === 0 || member().gainedAt > failingSince) {
        failures = 0;
        failingSince = now();
      }
      failures++;
      isRefused = isFailure(error) && error.code !== 'origin_unavailable';
      latest = isFailure(error)
        ? error
        : new Failure('origin_unavailable', `${origin} did not give ${shortOf(digest)}`, { cause: error });
    },
    problem: () => latest,
    look() {
      const { gainedAt, links, linking, transfers } = member();
      const isFailing = isRefused || failures >= FAILURES_MIN;
      if (!latest || !isFailing || gainedAt > failingSince || transfers.length > 0) return;
      const isLonely = links.size === 0 && linking.size === 0;
      const isEmpty = links.values().every(({ heldCount }) => heldCount === 0);
      const patienceMs = isLonely ? LONELY_PATIENCE_MS : isEmpty ? EMPTY_PATIENCE_MS : PATIENCE_MS;
      if (now() - failingSince >= patienceMs) end(latest);
    },
  };
}
