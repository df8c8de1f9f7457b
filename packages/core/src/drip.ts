import type { BlobReader, Draft, Remote } from './blob.ts';
import { isFailure } from './failure.ts';
import { pieceAt, pieceSpan } from './pieces.ts';

/** Runtimes give up a pull that makes no progress: CRI-O may after 10 s, containerd does after one to five minutes. */
const DRIP_EVERY_MS = 8000;
/** Few enough to cost the origin nothing, however many hosts wait. */
const DRIP_BYTES = 4096;
const DRIP_WAIT_MS = 5000;
const LOOKS = 16;

/** Gives readers that are held until the digest is proven a few bytes of the origin's own now and then. */
export interface Drip extends Disposable {
  /** The blob's `read`, which does not leave its reader without anything while the origin has something. */
  feed(blob: BlobReader, from: DripFrom): BlobReader['read'];
}

interface DripFrom {
  readonly remote: Remote;
  readonly arrived: (bytes: number) => void;
}

interface Waiting {
  readonly offset: number;
  readonly since: number;
  readonly stop: AbortController;
}

/** At most once in that time, however many readers wait for the draft. */
export function dripFeed(draft: Draft, everyMs: number = DRIP_EVERY_MS): Drip {
  const { plan, digest } = draft;
  /** The last piece is nobody's before the digest is proven. */
  const end = pieceSpan(plan, Math.max(0, plan.count - 1)).start;
  const waiting = new Set<Waiting>();
  let drippedAt = Number.NEGATIVE_INFINITY;

  const look = setInterval(() => {
    const now = performance.now();
    if (now - drippedAt < everyMs) return;
    for (const { offset, since, stop } of waiting) {
      // What has not come yet is the fill's to bring.
      if (now - since < everyMs || offset >= end || !draft.has(pieceAt(plan, offset))) continue;
      drippedAt = now;
      return stop.abort();
    }
  }, everyMs / LOOKS).unref();

  async function drip(into: Buffer, offset: number, from: DripFrom, signal: AbortSignal): Promise<number> {
    const span = { start: offset, end: Math.min(end, offset + Math.min(into.length, DRIP_BYTES)) };
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(DRIP_WAIT_MS)]);
    let count = 0;
    try {
      for await (const chunk of from.remote.read(digest, span, inTime)) {
        const part = chunk.subarray(0, span.end - span.start - count);
        into.set(part, count);
        count += part.length;
        from.arrived(part.length);
        if (count === span.end - span.start) break;
      }
    } catch (error) {
      // Without the origin the reader waits for the proof. What came of it is right all the same.
      if (!isFailure(error) && !inTime.aborted) throw error;
    }
    return count;
  }

  return {
    feed(blob, from) {
      let stop = new AbortController();
      let outer: AbortSignal | undefined;
      let either = stop.signal;
      return async (into, offset, signal) => {
        for (;;) {
          // Made anew only after a drip or for another signal: a read in the usual run of things costs nothing more.
          if (stop.signal.aborted || signal !== outer) {
            stop = new AbortController();
            outer = signal;
            either = AbortSignal.any([signal, stop.signal]);
          }
          const own: Waiting = { offset, since: performance.now(), stop };
          waiting.add(own);
          try {
            return await blob.read(into, offset, either);
          } catch (error) {
            if (!own.stop.signal.aborted || signal.aborted || isFailure(error)) throw error;
          } finally {
            waiting.delete(own);
          }
          const count = await drip(into, offset, from, signal);
          if (count > 0) return count;
        }
      };
    },
    [Symbol.dispose]: () => clearInterval(look),
  };
}
