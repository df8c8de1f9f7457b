import { type Digest, planPieces, type Report } from '@drayage/core';
import type { MemberId } from '@drayage/exchange';
import type { About } from './home-messages.ts';
import { takePart } from './part.ts';
import type { Filling, Part, Shared } from './part-types.ts';
import { pieceHashes } from './piece-hash.ts';

/** Sealed blobs served to other members at a time. */
const SERVED_MAX = 1024;

export interface PartsParts {
  readonly shared: () => Shared;
  readonly homesOf: (digest: Digest, more?: readonly string[]) => readonly MemberId[];
  readonly report: Report;
}

/** The blobs whose exchange this host takes part in at present. */
export interface Parts extends AsyncDisposable {
  of(digest: Digest): Part | undefined;
  about(about: About): Part | undefined;
  fill(filling: Filling): Promise<Part>;
  /** For others, who ask for a blob that is sealed here. Undefined when it is not. */
  serve(digest: Digest): Promise<Part | undefined>;
}

export function keepParts({ shared, homesOf }: PartsParts): Parts {
  const parts = new Map<Digest, Part>();
  const starting = new Map<Digest, Promise<Part | undefined>>();
  let isOver = false;

  function start(digest: Digest, size: number, blob: { filling?: Filling; sealed?: readonly string[] }): Part {
    const part = takePart({
      shared: shared(),
      digest,
      plan: planPieces(size),
      homes: (more) => homesOf(digest, more),
      filling: blob.filling,
      sealed: blob.sealed,
      over() {
        if (parts.get(digest) === part) parts.delete(digest);
      },
    });
    parts.set(digest, part);
    return part;
  }

  async function startServing(digest: Digest): Promise<Part | undefined> {
    const { store } = shared();
    const size = store.sizeOf(digest);
    const hashes = size ? await store.blockHashes(digest) : undefined;
    if (!size || !hashes || parts.size >= SERVED_MAX || isOver) return undefined;
    return parts.get(digest) ?? start(digest, size, { sealed: pieceHashes(planPieces(size), hashes) });
  }

  return {
    of: (digest) => parts.get(digest),
    about({ digest, size }) {
      const part = parts.get(digest);
      return part?.size === size ? part : undefined;
    },
    async fill(filling) {
      const { digest, plan } = filling.draft;
      // It was sealed here once, and is no more.
      for (let old = parts.get(digest); old; old = parts.get(digest))
        await old.stop(new Error('the blob is filled anew'));
      if (isOver) throw new Error('the agent is stopping');
      return start(digest, plan.size, { filling });
    },
    async serve(digest) {
      const known = starting.get(digest) ?? startServing(digest).finally(() => starting.delete(digest));
      starting.set(digest, known);
      return await known;
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      await Promise.all([...parts.values()].map((part) => part.stop(new Error('the agent is stopping'))));
    },
  };
}
