import type { Remote } from './blob.ts';
import type { Digest } from './digest.ts';
import { Failure } from './failure.ts';
import type { Span } from './pieces.ts';

/** An origin for tests: what it holds, what was asked of it, and how it misbehaves. */
export interface FakeRemote extends Remote {
  readonly reads: Span[];
  /** Bytes given out, in all. */
  sentBytes: number;
  stats: number;
  /** Called before each chunk; may wait, or throw as an origin would. */
  beforeChunk: (at: number) => Promise<void>;
  isDown: boolean;
}

const CHUNK_BYTES = 64 * 1024;

export function fakeRemote(blobs: ReadonlyMap<Digest, Uint8Array>): FakeRemote {
  const remote: FakeRemote = {
    origin: 'fake.example',
    reads: [],
    sentBytes: 0,
    stats: 0,
    isDown: false,
    beforeChunk: async () => {},
    async stat(digest) {
      remote.stats++;
      if (remote.isDown) throw unavailable();
      return blobs.get(digest)?.length;
    },
    async *read(digest, span, signal) {
      const bytes = blobs.get(digest);
      if (remote.isDown || !bytes) throw unavailable();
      remote.reads.push(span);
      for (let at = span.start; at < span.end; at += CHUNK_BYTES) {
        await remote.beforeChunk(at);
        signal.throwIfAborted();
        if (remote.isDown) throw unavailable();
        const chunk = bytes.subarray(at, Math.min(at + CHUNK_BYTES, span.end));
        remote.sentBytes += chunk.length;
        yield chunk;
      }
    },
  };
  return remote;
}

function unavailable(): Failure {
  return new Failure('origin_unavailable', 'the fake origin is down');
}
