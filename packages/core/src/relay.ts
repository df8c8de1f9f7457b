import type { OpenBlob, Remote } from './blob.ts';
import { type Digest, digestOf, hashLike, shortOf } from './digest.ts';
import { Failure } from './failure.ts';
import { BLOCK_BYTES } from './pieces.ts';
import { PATIENCE_MS, readThrough } from './resume.ts';

export interface RelayParts {
  readonly digest: Digest;
  readonly size: number;
  readonly remote: Remote;
  readonly arrived: (bytes: number) => void;
}

/**
 * The blob straight from its origin, for when the disk cannot take it. Always read from the first byte, so that the whole
 * is proven before its last block is let go; offsets must not go backwards.
 */
export function openRelay({ digest, size, remote, arrived }: RelayParts): OpenBlob {
  const stop = new AbortController();
  const chunks = readThrough({ remote, digest, span: { start: 0, end: size }, patienceMs: PATIENCE_MS }, stop.signal);
  const hash = hashLike(digest);
  const holdFrom = Math.max(0, size - BLOCK_BYTES);
  const tail = Buffer.alloc(size - holdFrom);
  let chunk: Uint8Array = new Uint8Array();
  let chunkStart = 0;
  let isProven = false;

  async function advance(): Promise<void> {
    chunkStart += chunk.length;
    const { value } = await chunks.next();
    chunk = value ?? new Uint8Array();
    const end = chunkStart + chunk.length;
    arrived(chunk.length);
    hash.update(chunk);
    if (end > holdFrom)
      tail.set(chunk.subarray(Math.max(0, holdFrom - chunkStart)), Math.max(0, chunkStart - holdFrom));
    if (end < size) return;
    isProven = digestOf(hash, digest) === digest;
    if (!isProven) throw new Failure('blob_corrupt', `${remote.origin} sent bytes that are not ${shortOf(digest)}`);
  }

  async function read(into: Buffer, offset: number, signal: AbortSignal): Promise<number> {
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (offset >= size) return 0;
      while (!isProven && chunkStart + chunk.length <= Math.min(offset, holdFrom)) await advance();
      while (!isProven && offset >= holdFrom) await advance();
      if (offset >= holdFrom) return tail.copy(into, 0, offset - holdFrom);
      const from = offset - chunkStart;
      const part = chunk.subarray(from, Math.min(chunk.length, holdFrom - chunkStart, from + into.length));
      into.set(part);
      return part.length;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  return {
    digest,
    size,
    source: 'origin',
    read,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await chunks.return(undefined).catch(() => undefined);
    },
  };
}
