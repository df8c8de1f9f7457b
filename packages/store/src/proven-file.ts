import { open } from 'node:fs/promises';
import { BLOCK_BYTES, type Digest, digestOf, Failure, hashLike, type OpenBlob, shortOf } from '@drayage/core';
import { checkedReader, hashBlocks } from './blocks.ts';

const HASH_READ_BYTES = 8 * BLOCK_BYTES;

export interface ReaderParts {
  readonly digest: Digest;
  readonly size: number;
  readonly hashes: Buffer;
  readonly unpin: () => void;
  /** Turns the blob into a draft, once, however many readers find it changed. */
  readonly isLost: (badBlock: number) => Promise<void>;
}

/** A reader of the sealed file. What it finds changed becomes a draft again, all but the changed part, and is healed from there. */
export async function startReader(
  path: string,
  { digest, size, hashes, unpin, isLost }: ReaderParts,
): Promise<OpenBlob> {
  const handle = await open(path, 'r');
  const readFile = checkedReader({ handle, size, hashes });
  return {
    digest,
    size,
    source: 'disk',
    async read(into, offset) {
      if (offset >= size) return 0;
      const result = await readFile(into, offset, size);
      if (result.ok) return result.bytes;
      await isLost(result.block);
      throw new Failure('blob_lost', `${shortOf(digest)} changed on the disk at byte ${result.block * BLOCK_BYTES}`);
    },
    async [Symbol.asyncDispose]() {
      unpin();
      await handle.close();
    },
  };
}

/** Reads the whole file. The hashes of its blocks, or undefined when it is not the digest's. */
export async function hashWhole(path: string, digest: Digest, signal: AbortSignal): Promise<Buffer | undefined> {
  const handle = await open(path, 'r');
  try {
    const hash = hashLike(digest);
    const hashes: Buffer[] = [];
    const buffer = Buffer.allocUnsafeSlow(HASH_READ_BYTES);
    for (let at = 0; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      const bytes = buffer.subarray(0, bytesRead);
      hash.update(bytes);
      hashes.push(hashBlocks([bytes]));
      at += bytesRead;
    }
    return digestOf(hash, digest) === digest ? Buffer.concat(hashes) : undefined;
  } finally {
    await handle.close();
  }
}
