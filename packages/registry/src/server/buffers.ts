import { BLOCK_BYTES } from '@drayage/core';
import { orAbort } from './flight.ts';

/** Memory that streams share, so that many of them together stay under a bound. */
export interface BufferPool {
  /** A share for one stream. Dispose of it when the stream ends, however it ends. */
  lease(): Lease;
  /** The bytes that exist, lent out or idle. */
  bytes(): number;
}

export interface Lease extends Disposable {
  /** A buffer nobody else uses. Waits while this stream has its share in use, or the whole pool is in use. */
  take(signal: AbortSignal): Promise<Buffer>;
  /** Hands a buffer back once nobody reads from it any more. */
  give(buffer: Buffer): void;
  /** Resolves when all that was taken has been given back. */
  returned(signal: AbortSignal): Promise<void>;
  /** Whether buffers of this stream are in use. */
  isInUse(): boolean;
}

const LARGE_BYTES = 1024 * 1024;
const LARGE_STREAMS_MAX = 16;
const STREAM_BUFFERS_MAX = 3;
const POOL_BYTES_MAX = 96 * 1024 * 1024;

/** Large buffers carry a few streams at the speed of the disk; many streams get small ones. */
export function bufferPool(bytesMax: number = POOL_BYTES_MAX): BufferPool {
  const idle: Buffer[] = [];
  const queue = new Set<() => void>();
  let leases = 0;
  let bytes = 0;

  return {
    bytes: () => bytes,
    lease() {
      leases += 1;
      return openLease({ tryTake, turn, wakeNext, putBack, forget });
    },
  };

  function tryTake(): Buffer | undefined {
    const size = leases <= LARGE_STREAMS_MAX ? LARGE_BYTES : BLOCK_BYTES;
    const fitting = idle.findLastIndex(({ length }) => length === size);
    if (fitting >= 0) return idle.splice(fitting, 1)[0];
    shrink(0, bytesMax - size);
    if (bytes + size > bytesMax) return undefined;
    bytes += size;
    return Buffer.allocUnsafeSlow(size);
  }

  function putBack(buffer: Buffer): void {
    idle.push(buffer);
    wakeNext();
  }

  function forget(buffers: Iterable<Buffer>): void {
    leases -= 1;
    for (const buffer of buffers) bytes -= buffer.length;
    if (leases === 0) shrink(STREAM_BUFFERS_MAX, 0);
    wakeNext();
  }

  /** Lets idle buffers go, the oldest first, but for `kept` of them, until no more than `most` bytes are left. */
  function shrink(kept: number, most: number): void {
    while (bytes > most && idle.length > kept) bytes -= idle.shift()?.length ?? 0;
  }

  async function turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.add(resolve);
    try {
      await orAbort(promise, signal);
    } catch (error) {
      if (!queue.delete(resolve)) wakeNext();
      throw error;
    }
  }

  function wakeNext(): void {
    const [next] = queue;
    if (!next) return;
    queue.delete(next);
    next();
  }
}

interface Shared {
  tryTake(): Buffer | undefined;
  turn(signal: AbortSignal): Promise<void>;
  wakeNext(): void;
  putBack(buffer: Buffer): void;
  forget(buffers: Iterable<Buffer>): void;
}

function openLease({ tryTake, turn, wakeNext, putBack, forget }: Shared): Lease {
  const held = new Set<Buffer>();
  let onGiven: (() => void) | undefined;

  return {
    async take(signal) {
      for (;;) {
        const buffer = held.size < STREAM_BUFFERS_MAX ? tryTake() : undefined;
        if (buffer) {
          held.add(buffer);
          // One hand-back may have made room for more than this.
          wakeNext();
          return buffer;
        }
        // Whoever holds something waits for its own, so no stream keeps memory while it waits for others.
        await (held.size > 0 ? given(signal) : turn(signal));
      }
    },
    give(buffer) {
      if (!held.delete(buffer)) return;
      putBack(buffer);
      onGiven?.();
    },
    async returned(signal) {
      while (held.size > 0) await given(signal);
    },
    isInUse: () => held.size > 0,
    [Symbol.dispose]() {
      // What was not given back may still be read by the kernel, so it is left to the garbage collector.
      forget(held);
      held.clear();
    },
  };

  function given(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    onGiven = resolve;
    return orAbort(promise, signal);
  }
}
