import { BLOCK_BYTES } from '@drayage/core';

/** Memory that streams share, so that many of them together stay under a bound. */
export interface BufferPool {
  /** A share for one stream, whose waits end when the signal aborts. Dispose of it when the stream ends, however it ends. */
  lease(signal: AbortSignal): Lease;
  /** The bytes that exist, lent out or idle. */
  bytes(): number;
}

interface Lease extends Disposable {
  /** A buffer nobody else uses. Undefined while this stream has its share in use, or others wait for theirs. */
  tryTake(): Buffer | undefined;
  /** The next buffer there is for this stream, in turn with others. */
  take(): Promise<Buffer>;
  /** Hands a buffer back once nobody reads from it any more. */
  give(buffer: Buffer): void;
  /** Resolves when all that was taken has been given back. */
  returned(): Promise<void>;
  /** Whether buffers of this stream are in use. */
  isInUse(): boolean;
}

const LARGE_BYTES = 1024 * 1024;
const LARGE_STREAMS_MAX = 16;
const STREAM_BUFFERS_MAX = 3;
/** Enough for five hundred streams to have a small buffer each; more take turns. */
const POOL_BYTES_MAX = 64 * 1024 * 1024;

interface Pool {
  tryTake(): Buffer | undefined;
  putBack(buffer: Buffer): void;
  /** Ends a lease; these buffers of it never come back. */
  forget(buffers: Iterable<Buffer>): void;
  /** Those who wait with nothing in hand, the longest waiting first. */
  readonly queue: Set<(buffer: Buffer) => void>;
}

/** Large buffers carry a few streams at the speed of the disk; many streams get small ones. */
export function bufferPool(bytesMax: number = POOL_BYTES_MAX): BufferPool {
  const idle: Buffer[] = [];
  const queue: Pool['queue'] = new Set();
  let leases = 0;
  let bytes = 0;

  return {
    bytes: () => bytes,
    lease(signal) {
      leases += 1;
      return openLease({ tryTake, putBack, forget, queue }, signal);
    },
  };

  function sizeNow(): number {
    return leases <= LARGE_STREAMS_MAX ? LARGE_BYTES : BLOCK_BYTES;
  }

  function tryTake(): Buffer | undefined {
    const size = sizeNow();
    const fitting = idle.findLastIndex(({ length }) => length === size);
    if (fitting >= 0) return idle.splice(fitting, 1)[0];
    shrink(0, bytesMax - size);
    if (bytes + size > bytesMax) return undefined;
    bytes += size;
    return Buffer.allocUnsafeSlow(size);
  }

  function putBack(buffer: Buffer): void {
    // A buffer of the other size would lie idle for as long as so many streams run.
    if (buffer.length === sizeNow()) idle.push(buffer);
    else bytes -= buffer.length;
    serveQueue();
  }

  function forget(buffers: Iterable<Buffer>): void {
    leases -= 1;
    for (const buffer of buffers) bytes -= buffer.length;
    if (leases === 0) shrink(STREAM_BUFFERS_MAX, 0);
    serveQueue();
  }

  /** Lets idle buffers go, the oldest first, but for `kept` of them, until no more than `most` bytes are left. */
  function shrink(kept: number, most: number): void {
    while (bytes > most && idle.length > kept) bytes -= idle.shift()?.length ?? 0;
  }

  function serveQueue(): void {
    for (const hand of queue) {
      const buffer = tryTake();
      if (!buffer) return;
      queue.delete(hand);
      hand(buffer);
    }
  }
}

function openLease({ tryTake, putBack, forget, queue }: Pool, signal: AbortSignal): Lease {
  const held = new Set<Buffer>();
  let wake: (() => void) | undefined;
  const onAbort = () => wake?.();
  signal.addEventListener('abort', onAbort);

  return {
    tryTake: takeNow,
    async take() {
      for (;;) {
        signal.throwIfAborted();
        // Whoever holds something waits for its own, so no stream keeps memory while it waits for others.
        const buffer = takeNow() ?? (await (held.size > 0 ? given() : turn()));
        if (buffer) return buffer;
      }
    },
    give(buffer) {
      if (!held.delete(buffer)) return;
      putBack(buffer);
      wake?.();
    },
    async returned() {
      while (held.size > 0) {
        signal.throwIfAborted();
        await given();
      }
    },
    isInUse: () => held.size > 0,
    [Symbol.dispose]() {
      signal.removeEventListener('abort', onAbort);
      // What was not given back may still be read by the kernel, so it is left to the garbage collector.
      forget(held);
      held.clear();
    },
  };

  function takeNow(): Buffer | undefined {
    if (held.size >= STREAM_BUFFERS_MAX || queue.size > 0) return undefined;
    const buffer = tryTake();
    if (buffer) held.add(buffer);
    return buffer;
  }

  /** Ends when a buffer of this stream came back. */
  function given(): Promise<undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    wake = () => resolve(undefined);
    return promise;
  }

  /** Ends with the buffer that was handed over; undefined when the signal aborted. */
  async function turn(): Promise<Buffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    wake = () => resolve(undefined);
    queue.add(resolve);
    const buffer = await promise;
    queue.delete(resolve);
    if (buffer) held.add(buffer);
    return buffer;
  }
}
