import { setTimeout as sleep } from 'node:timers/promises';
import type { Remote } from './blob.ts';
import type { Digest } from './digest.ts';
import { Failure, isFailure } from './failure.ts';
import type { Span } from './pieces.ts';

/** Tries before the first byte. Few: whoever waits for it may have somewhere else to go. */
const FIRST_TRIES_MAX = 2;
/** How long a body that has begun is taken up again without another byte: its reader has nowhere else to go. */
export const PATIENCE_MS = 12_000;
const BACKOFF_MS = 250;
const BACKOFF_MAX_MS = 2000;

export interface Passage {
  readonly remote: Remote;
  readonly digest: Digest;
  readonly span: Span;
  readonly patienceMs: number;
}

/** The bytes of a span, taken up again where the origin broke off, so that none is fetched twice. */
export async function* readThrough(
  { remote, digest, span, patienceMs }: Passage,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let at = span.start;
  let progressAt = performance.now();
  for (let fruitless = 0; at < span.end; ) {
    try {
      for await (const chunk of remote.read(digest, { start: at, end: span.end }, signal)) {
        at += chunk.length;
        fruitless = 0;
        yield chunk;
        progressAt = performance.now();
      }
      if (at < span.end)
        throw new Failure('origin_unavailable', `${remote.origin} ended ${digest} early, at byte ${at}`);
    } catch (error) {
      if (signal.aborted || !isFailure(error, 'origin_unavailable')) throw error;
      fruitless++;
      const isHopeless = at === span.start ? fruitless >= FIRST_TRIES_MAX : performance.now() - progressAt > patienceMs;
      if (isHopeless) throw error;
      const backoffMs = Math.min(BACKOFF_MS * 2 ** fruitless, BACKOFF_MAX_MS);
      await sleep(backoffMs * (0.5 + Math.random() / 2), undefined, { signal });
    }
  }
}
