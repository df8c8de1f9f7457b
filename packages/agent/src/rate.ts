import { setTimeout as wait } from 'node:timers/promises';
import type { Origins } from '@drayage/registry';

const BURST_SECONDS = 0.25;

/** The same origins, giving blobs no faster than so many bytes per second all together. */
export function limited(origins: Origins, bytesPerSecond: number, now: () => number): Origins {
  const takeTurn = turnstile(bytesPerSecond, now);
  return {
    ...origins,
    repository: (origin, path, caller) => {
      const repository = origins.repository(origin, path, caller);
      return {
        ...repository,
        async *read(digest, span, signal) {
          for await (const chunk of repository.read(digest, span, signal)) {
            yield chunk;
            await takeTurn(chunk.length, signal);
          }
        },
      };
    },
    [Symbol.asyncDispose]: () => origins[Symbol.asyncDispose](),
  };
}

/** Each taker pushes the time at which the next may go; nothing is queued but waiting readers. */
function turnstile(bytesPerSecond: number, now: () => number): (bytes: number, signal: AbortSignal) => Promise<void> {
  let freeAt = 0;
  return async (bytes, signal) => {
    const soon = now() - BURST_SECONDS * 1000;
    freeAt = Math.max(freeAt, soon) + (bytes / bytesPerSecond) * 1000;
    const delayMs = freeAt - now();
    if (delayMs > 0) await wait(delayMs, undefined, { signal });
  };
}
