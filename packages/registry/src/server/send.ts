import type { ServerResponse } from 'node:http';
import { Failure, shortOf } from '@drayage/core';
import type { Answer, BlobPart } from './answer.ts';
import type { BufferPool } from './buffers.ts';
import { orAbort } from './flight.ts';

/** How long an answer may take at each step before it is cut off. */
export interface SendLimits {
  /** A source that gives nothing for this long has failed: the client resumes with a range. */
  readonly stallMs: number;
  /** A client that takes less than the least rate for this long is cut off. */
  readonly clientWindowMs: number;
  readonly clientBytesPerSecondMin: number;
}

export const SEND_LIMITS: SendLimits = {
  stallMs: 15_000,
  // At the least rate one large buffer takes 64 s, and only whole buffers count.
  clientWindowMs: 64_000,
  clientBytesPerSecondMin: 16 * 1024,
};

/** One answer on its way to a client. */
export interface Sending {
  readonly response: ServerResponse;
  /** Aborts when the client goes; aborting it ends the answer. */
  readonly stop: AbortController;
  readonly buffers: BufferPool;
  readonly limits: SendLimits;
  /** Called when the headers are on their way. */
  started(): void;
  /** Called with every run of bytes that the client's connection has taken. */
  sent(bytes: number): void;
}

const CLIENT_CHECKS = 8;

/** Sends an answer whole. Once the headers are out, a failure leaves the body short, never wrongly complete. */
export async function sendAnswer({ status, headers, body }: Answer, sending: Sending): Promise<void> {
  const { response, stop, started } = sending;
  using client = watchClient(sending);
  const begin = () => {
    response.writeHead(status, headers);
    started();
  };
  if (body !== undefined && !Buffer.isBuffer(body)) return sendPart(body, begin, { ...sending, client });
  begin();
  const { promise, resolve } = Promise.withResolvers<void>();
  response.end(body, resolve);
  await client.during(orAbort(promise, stop.signal));
  client.took(body?.length ?? 0);
}

interface PartSending extends Sending {
  readonly client: ClientWatch;
}

/** While the connection takes one buffer, the next is read. A buffer is used again only when the connection is done with it. */
async function sendPart({ blob, span }: BlobPart, begin: () => void, sending: PartSending): Promise<void> {
  const { response, stop, buffers, client } = sending;
  using lease = buffers.lease(stop.signal);
  using source = watchSource(sending);
  for (let offset = span.start; offset < span.end; ) {
    const isFull = lease.isInUse();
    const buffer = lease.tryTake() ?? (await (isFull ? client.during(lease.take()) : lease.take()));
    const count = await source.during(blob.read(buffer.subarray(0, span.end - offset), offset, stop.signal));
    if (count === 0) {
      throw new Failure('blob_unavailable', `${shortOf(blob.digest)} ended after ${offset} of ${blob.size} bytes`);
    }
    if (!response.headersSent) begin();
    offset += count;
    response.write(buffer.subarray(0, count), (error) => {
      // After an error the connection may still hold the buffer; its closing ends this answer.
      if (error) return;
      client.took(count);
      lease.give(buffer);
    });
  }
  if (!response.headersSent) begin();
  response.end();
  await client.during(lease.returned());
}

/**
 * Ends an answer whose source gives nothing for too long, even if the source does not heed its signal. One timer and one
 * listener a stream, since reads are many.
 */
function watchSource({ stop, limits }: Sending): Watch {
  let giveUp: ((reason: unknown) => void) | undefined;
  const stalled = new Failure('blob_unavailable', `no bytes came for ${limits.stallMs / 1000} s`);
  const timer = setTimeout(() => giveUp && stop.abort(stalled), limits.stallMs);
  const onAbort = () => giveUp?.(stop.signal.reason);
  stop.signal.addEventListener('abort', onAbort);
  return {
    async during<T>(work: Promise<T>): Promise<T> {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      giveUp = reject;
      timer.refresh();
      work.then(resolve, reject);
      try {
        return await promise;
      } finally {
        giveUp = undefined;
      }
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      stop.signal.removeEventListener('abort', onAbort);
    },
  };
}

interface Watch extends Disposable {
  /** The answer waits for the one that is watched until this is done. */
  during<T>(work: Promise<T>): Promise<T>;
}

/** Cuts a client off that takes its bytes too slowly. Time spent on the source does not count. */
interface ClientWatch extends Watch {
  took(bytes: number): void;
}

function watchClient({ stop, limits, sent }: Sending): ClientWatch {
  const bytesMin = (limits.clientBytesPerSecondMin * limits.clientWindowMs) / 1000;
  let isWaiting = false;
  let waits = 0;
  let bytes = 0;
  const timer = setInterval(() => {
    if (!isWaiting) return;
    waits += 1;
    if (waits < CLIENT_CHECKS) return;
    if (bytes < bytesMin) stop.abort(new Failure('blob_unavailable', 'the client takes its bytes too slowly'));
    waits = 0;
    bytes = 0;
  }, limits.clientWindowMs / CLIENT_CHECKS);

  return {
    async during(work) {
      isWaiting = true;
      try {
        return await work;
      } finally {
        isWaiting = false;
      }
    },
    took(count) {
      bytes += count;
      sent(count);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
