import { setTimeout as wait } from 'node:timers/promises';

const BURST_SECONDS = 0.25;

/** Lets so many bytes per second pass, over all who take. */
export interface Rate {
  /** Resolves when so many bytes may pass; rejects when the signal aborts. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** Each taker pushes the time at which the next may go; nothing is queued but those who wait. */
export function rateOf(bytesPerSecond: number, now: () => number): Rate {
  let freeAt = 0;
  return {
    async take(bytes, signal) {
      const soon = now() - BURST_SECONDS * 1000;
      freeAt = Math.max(freeAt, soon) + (bytes / bytesPerSecond) * 1000;
      const delayMs = freeAt - now();
      if (delayMs > 0) await wait(delayMs, undefined, { signal });
    },
  };
}
