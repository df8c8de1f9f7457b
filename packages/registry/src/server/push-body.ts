import type { IncomingMessage, ServerResponse } from 'node:http';
import { Failure, type Intake } from '@drayage/core';
import { orAbort } from './flight.ts';

/** What a client sends after its headers. */
export interface ClientBody {
  /** Undefined when the client does not say. */
  readonly length: number | undefined;
  /** Whether any bytes may come. */
  readonly isExpected: boolean;
  /** The bytes, as they are asked for; each also goes to the intake. Throws `blob_unavailable` when the client breaks off or stalls. */
  read(intake: Intake | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The body of a request, for whoever wants it: it is invited and read only then. */
export function bodyOf(incoming: IncomingMessage, response: ServerResponse, stallMs: number): ClientBody {
  const { 'content-length': length, expect } = incoming.headers;
  return {
    length: length === undefined ? undefined : Number(length),
    isExpected: hasBody(incoming),
    async *read(intake, signal) {
      if (expect?.toLowerCase() === '100-continue') response.writeContinue();
      const late = new AbortController();
      const stalled = () =>
        late.abort(new Failure('blob_unavailable', `the client sent nothing for ${stallMs / 1000} s`));
      let timer: NodeJS.Timeout | undefined;
      const either = AbortSignal.any([signal, late.signal]);
      // The connection still has an answer to carry, so it outlives a reader that stops early.
      const chunks = incoming.iterator({ destroyOnReturn: false });
      try {
        for (;;) {
          timer = setTimeout(stalled, stallMs);
          const { done, value } = await orAbort(chunks.next(), either).catch(asFailure);
          clearTimeout(timer);
          if (done) return;
          await intake?.append(value);
          yield value;
        }
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** Whether more than headers may come. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/** The whole body, when it is no longer than that. Undefined when it is. */
export async function readBody(body: ClientBody, bytesMax: number, signal: AbortSignal): Promise<Buffer | undefined> {
  if (body.length !== undefined && body.length > bytesMax) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body.read(undefined, signal)) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function asFailure(error: unknown): never {
  if (error instanceof Failure) throw error;
  throw new Failure('blob_unavailable', 'the client broke off its upload', { cause: error });
}
