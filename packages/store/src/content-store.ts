import { statSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  algorithmOf,
  type Digest,
  Failure,
  hexOf,
  type OpenBlob,
  parseDigest,
  type Report,
  shortOf,
} from '@drayage/core';
import { decodeHashes, encodeHashes } from './blocks.ts';
import { isMissing, replaceFile } from './files.ts';
import type { Layout } from './layout.ts';
import { hashWhole, startReader } from './proven-file.ts';

/** A runtime's own blobs, such as containerd's, as a second source: read and never written, proven before they are believed. */
export interface ContentStore {
  open(digest: Digest): Promise<OpenBlob | undefined>;
  sizeOf(digest: Digest): number | undefined;
  blockHashes(digest: Digest): Promise<Buffer | undefined>;
  /** What its folder names. A claim, until a blob is opened. */
  list(): Promise<readonly Digest[]>;
}

/** Over a folder with `blobs/sha256/<hex>` in it. What is proven is noted beside our own blobs' hashes. */
export function openContentStore(folder: string, layout: Layout, report: Report): ContentStore {
  const proving = new Map<Digest, Promise<Buffer | undefined>>();
  const pathOf = (digest: Digest) => join(folder, 'blobs', algorithmOf(digest), hexOf(digest));

  function sizeOf(digest: Digest): number | undefined {
    const stats = statSync(pathOf(digest), { throwIfNoEntry: false });
    return stats?.isFile() ? stats.size : undefined;
  }

  async function prove(digest: Digest, size: number): Promise<Buffer | undefined> {
    const noted = await readFile(layout.hashes(digest)).catch(() => undefined);
    const known = noted && decodeHashes(noted, size);
    if (known) return known;
    const hashes = await hashWhole(pathOf(digest), digest, new AbortController().signal).catch(orMissing);
    const isOther = hashes === undefined && sizeOf(digest) !== undefined;
    if (isOther)
      report({ kind: 'corrupt', where: 'disk', digest, detail: `${folder} has other bytes under that name` });
    // A note that cannot be written costs another hashing, no more.
    if (hashes) await replaceFile(layout.hashes(digest), encodeHashes(size, hashes)).catch(() => undefined);
    return hashes;
  }

  async function blockHashes(digest: Digest): Promise<Buffer | undefined> {
    const size = sizeOf(digest);
    if (size === undefined) return undefined;
    const proof = proving.get(digest) ?? prove(digest, size).finally(() => proving.delete(digest));
    proving.set(digest, proof);
    return await proof;
  }

  return {
    sizeOf,
    blockHashes,
    async open(digest) {
      const size = sizeOf(digest);
      const hashes = size === undefined ? undefined : await blockHashes(digest);
      if (size === undefined || !hashes) return undefined;
      const isLost = async () => {
        report({ kind: 'corrupt', where: 'disk', digest, detail: `${folder} has changed under that name` });
        await rm(layout.hashes(digest), { force: true });
      };
      try {
        return await startReader(pathOf(digest), { digest, size, hashes, unpin: () => {}, isLost });
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw new Failure('disk_failed', `${shortOf(digest)} in ${folder} cannot be read`, { cause: error });
      }
    },
    async list() {
      const names = await readdir(join(folder, 'blobs', 'sha256')).catch(() => []);
      return names.map((name) => parseDigest(`sha256:${name}`)).filter((digest) => digest !== undefined);
    },
  };
}

/** The runtime may remove what it has at any time. */
function orMissing(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw new Failure('disk_failed', 'a blob of the content store cannot be read', { cause: error });
}
