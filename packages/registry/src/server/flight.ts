import { Failure, isFailure, orAbort } from '@drayage/core';

/** Lets all who ask for one key at the same time share one piece of work. There are never more flights than askers. */
export function singleFlight<T>(): (key: string, work: () => Promise<T>) => Promise<T> {
  const flights = new Map<string, Promise<T>>();
  return (key, work) => {
    const running = flights.get(key);
    if (running !== undefined) return running;
    const flight = work().finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  };
}

/** The outcome of a question to an origin; `origin_unavailable` when it takes longer than `waitMs`. */
export async function within<T>(waitMs: number, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const reason = new Failure('origin_unavailable', `${what}: no answer within ${waitMs / 1000} s`);
  const timer = setTimeout(() => late.abort(reason), waitMs);
  try {
    return await orAbort(work(late.signal), late.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** What the first gives within `waitMs`; else whichever of both gives something first. Fails as the second does. */
export async function hedged<T>(
  first: Promise<T | undefined>,
  waitMs: number,
  second: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const quiet = first.catch((error: unknown) => {
    if (!isFailure(error)) throw error;
    return undefined;
  });
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), waitMs);
  try {
    const early = await Promise.race([quiet, late.promise]);
    if (early !== undefined) return early;
  } finally {
    clearTimeout(timer);
  }
  // The first may have ended because nobody waits any more.
  signal.throwIfAborted();
  const other = second();
  const given = quiet.then((value) => value ?? other);
  return await Promise.any([given, other]).catch(() => other);
}

/** Sets an entry and lets the oldest go when there are more than `max`. */
export function setBounded<K, V>(map: Map<K, V>, [key, value]: readonly [K, V], max: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= max) return;
    map.delete(oldest);
  }
}
