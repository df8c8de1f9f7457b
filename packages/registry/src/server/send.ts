import type { ServerResponse } from 'node:http';
import { Failure, type OpenBlob, orAbort, shortOf } from '@drayage/core';
import { type Answer, type BlobPart, sourceOf } from './answer.ts';
import type { BufferPool } from './buffers.ts';

/** How long an answer may take at each step before it is cut off. */
export interface SendLimits {
  /** A source that gives nothing for this long, and whose fill stands still, has failed: the client resumes with a range. */
  readonly stallMs: number;
  /** A blob that is on its way here is answered after this long, even if no byte of it may be seen yet. */
  readonly headersMs: number;
  /** A client that takes less than the least rate for this long is cut off. */
  readonly clientWindowMs: number;
  readonly clientBytesPerSecondMin: number;
}

export const SEND_LIMITS: SendLimits = {
  stallMs: 15_000,
  // Before the client would be sent to the origin, where nothing else would be had either.
  headersMs: 5000,
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
  /** Called with what gives the client its headers when something of the blob is here, and says whether it has them. */
  whenLate(giveHeaders: () => boolean): void;
  /** Called when the headers are on their way. */
  started(): void;
  /** Called with every run of bytes that the client's connection has taken. */
  sent(bytes: number): void;
}

const LOOKS = 8;

/** Sends an answer whole. Once the headers are out, a failure leaves the body short, never wrongly complete. */
export async function sendAnswer(answer: Answer, sending: Sending): Promise<void> {
  const { status, headers, body } = answer;
  const { response, stop, whenLate, started } = sending;
  const blob = body === undefined || Buffer.isBuffer(body) ? undefined : body.blob;
  const begin = () => {
    // A blob's headers go out with its first bytes: only then is it known where they came from.
    const source = sourceOf(answer);
    if (source !== undefined) response.setHeader('Drayage-Source', source);
    response.writeHead(status, headers);
    started();
  };
  const giveHeaders = () => {
    if (!response.headersSent && blob?.heldBytes) {
      begin();
      response.flushHeaders();
    }
    return response.headersSent;
  };
  whenLate(giveHeaders);
  using progress = watchProgress(sending, blob, giveHeaders);
  if (body !== undefined && !Buffer.isBuffer(body)) {
    // Whatever a read hangs on, the answer ends when it is told to; the read keeps its buffer until it comes back.
    return await orAbort(sendPart(body, begin, { ...sending, progress }), stop.signal);
  }
  begin();
  const { promise, resolve } = Promise.withResolvers<void>();
  response.end(body, resolve);
  progress.waitsFor('client');
  await orAbort(promise, stop.signal);
  progress.took(body?.length ?? 0);
}

interface PartSending extends Sending {
  readonly progress: Progress;
}

/**
 * While the connection takes one buffer, the next is read. A buffer is used again only when the connection is done with
 * it. Nothing is made per buffer that is not needed: five hundred streams make garbage faster than it is collected.
 */
async function sendPart({ blob, span }: BlobPart, begin: () => void, sending: PartSending): Promise<void> {
  const { response, stop, buffers, progress } = sending;
  using lease = buffers.lease(stop.signal);
  for (let offset = span.start; offset < span.end; ) {
    progress.waitsFor(lease.isInUse() ? 'client' : undefined);
    const buffer = lease.tryTake() ?? (await lease.take());
    progress.waitsFor('source');
    const into = buffer.length <= span.end - offset ? buffer : buffer.subarray(0, span.end - offset);
    const count = await blob.read(into, offset, stop.signal);
    stop.signal.throwIfAborted();
    if (count === 0) throw endedEarly(blob, offset);
    if (!response.headersSent) begin();
    offset += count;
    response.write(into.subarray(0, count), (error) => {
      // After an error the connection may still hold the buffer; its closing ends this answer.
      if (error) return;
      progress.took(count);
      lease.give(buffer);
    });
  }
  if (!response.headersSent) begin();
  response.end();
  progress.waitsFor('client');
  await lease.returned();
}

function endedEarly({ digest, size }: OpenBlob, offset: number): Failure {
  return new Failure('blob_unavailable', `${shortOf(digest)} ended after ${offset} of ${size} bytes`);
}

type Party = 'source' | 'client' | undefined;

/** Ends an answer when whoever it waits for does nothing for too long. */
interface Progress extends Disposable {
  waitsFor(party: Party): void;
  /** The client's connection has taken these. */
  took(bytes: number): void;
}

function watchProgress(
  { stop, limits, sent }: Sending,
  blob: OpenBlob | undefined,
  giveHeaders: () => boolean,
): Progress {
  const { stallMs, headersMs, clientWindowMs, clientBytesPerSecondMin } = limits;
  const lookEveryMs = Math.min(stallMs, clientWindowMs) / LOOKS;
  const bytesMin = (clientBytesPerSecondMin * clientWindowMs) / 1000;
  const end = (why: string) => stop.abort(new Failure('blob_unavailable', why));
  let party: Party;
  let sourceMs = 0;
  let clientMs = 0;
  let bytes = 0;
  const headersAt = performance.now() + headersMs;
  let heldBytes = blob?.heldBytes;

  const timer = setInterval(() => {
    if (party === 'source') sourceMs += lookEveryMs;
    if (party === 'client') clientMs += lookEveryMs;
    // What the reader may not see yet comes in all the same.
    if (blob?.heldBytes !== heldBytes) sourceMs = 0;
    heldBytes = blob?.heldBytes;
    if (performance.now() >= headersAt) giveHeaders();
    if (sourceMs >= stallMs) end(`no bytes came for ${stallMs / 1000} s`);
    if (clientMs < clientWindowMs) return;
    if (bytes < bytesMin) end('the client takes its bytes too slowly');
    clientMs = 0;
    bytes = 0;
  }, lookEveryMs);

  return {
    waitsFor(next) {
      party = next;
      sourceMs = 0;
    },
    took(count) {
      bytes += count;
      sent(count);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
