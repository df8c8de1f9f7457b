import { setTimeout as sleep } from 'node:timers/promises';
import type { Remote } from './blob.ts';
import type { Digest } from './digest.ts';
import { Failure, isFailure } from './failure.ts';
import type { Span } from './pieces.ts';

/** Tries in a row that bring no byte. */
const FRUITLESS_TRIES_MAX = 3;
const BACKOFF_MS = 250;

/** The bytes of a span, taken up again where the origin broke off, so that none is fetched twice. */
export async function* readThrough(
  remote: Remote,
  digest: Digest,
  span: Span,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let at = span.start;
  for (let fruitless = 0; at < span.end; ) {
    const before = at;
    try {
      for await (const chunk of remote.read(digest, { start: at, end: span.end }, signal)) {
        at += chunk.length;
        yield chunk;
      }
      if (at < span.end)
        throw new Failure('origin_unavailable', `${remote.origin} ended ${digest} early, at byte ${at}`);
    } catch (error) {
      if (signal.aborted || !isFailure(error, 'origin_unavailable')) throw error;
      fruitless = at > before ? 0 : fruitless + 1;
      if (fruitless >= FRUITLESS_TRIES_MAX) throw error;
      await sleep(BACKOFF_MS * 2 ** fruitless * (0.5 + Math.random()), undefined, { signal });
    }
  }
}
