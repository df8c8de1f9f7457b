import { chmod, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Digest, Failure, type HeldBlob, type OpenBlob, type Report, shortOf } from '@drayage/core';
import { decodeHashes, encodeHashes } from './blocks.ts';
import { demote } from './demote.ts';
import { type Entries, type Entry, loadEntries, pin } from './entries.ts';
import { isMissing, makeFolderFor, replaceFile, syncFolder } from './files.ts';
import type { Layout } from './layout.ts';
import { hashWhole, startReader } from './proven-file.ts';

export interface SealedParts {
  readonly layout: Layout;
  readonly report: Report;
  readonly usedAt: (digest: Digest) => number | undefined;
  readonly now: () => number;
}

/** The sealed blobs: a name in the folder means proven and durable. */
export interface Sealed {
  open(digest: Digest): Promise<OpenBlob | undefined>;
  blockHashes(digest: Digest): Promise<Buffer | undefined>;
  sizeOf(digest: Digest): number | undefined;
  list(): HeldBlob[];
  bytes(): number;
  evictableBytes(): number;
  evictOne(): Promise<boolean>;
  remove(digest: Digest): Promise<boolean>;
  verify(digest: Digest, signal: AbortSignal): Promise<'sound' | 'corrupt' | 'unknown'>;
  /** Moves a proven file in, durably; one that is here already makes it needless. */
  adopt(digest: Digest, file: ProvenFile): Promise<void>;
  /** Keeps the blob from eviction until the answer is called. */
  pin(digest: Digest): () => void;
}

export function openSealed(parts: SealedParts): Sealed {
  const { layout, report, usedAt, now } = parts;
  const entries = loadEntries(layout, usedAt, now);
  const adopting = new Map<Digest, Promise<void>>();

  async function unlink(digest: Digest, entry: Entry): Promise<void> {
    entries.forget(digest, entry);
    await rm(layout.blob(digest), { force: true });
    await rm(layout.hashes(digest), { force: true });
  }

  const opening: Opening = { ...parts, entries, unlink };

  async function verify(digest: Digest, entry: Entry, signal: AbortSignal): Promise<'sound' | 'corrupt'> {
    const unpin = pin(entry);
    try {
      if (await proveAgain(layout, digest, entry.size, signal)) return 'sound';
      report({ kind: 'corrupt', where: 'disk', digest, detail: 'verifying found other bytes; the blob was removed' });
      await unlink(digest, entry);
      return 'corrupt';
    } finally {
      unpin();
    }
  }

  /** One at a time: two that came by the same blob must not move their files over one another. */
  async function adopt(digest: Digest, file: ProvenFile): Promise<void> {
    for (let other = adopting.get(digest); other; other = adopting.get(digest)) await other;
    await entries.get(digest)?.lost;
    if (entries.get(digest)) return await rm(file.path, { force: true });
    const moving = moveIn(layout, digest, file).then(() => entries.add(digest, file.size));
    adopting.set(
      digest,
      moving.catch(() => undefined).finally(() => adopting.delete(digest)),
    );
    await moving;
  }

  const withEntry = async <T>(digest: Digest, use: (entry: Entry) => Promise<T>, otherwise: T): Promise<T> => {
    const entry = entries.get(digest);
    return entry ? use(entry) : otherwise;
  };
  return {
    open: (digest) => withEntry(digest, (entry) => openEntry(opening, digest, entry), undefined),
    blockHashes: (digest) => withEntry(digest, (entry) => knownHashes(layout, digest, entry), undefined),
    sizeOf: (digest) => entries.get(digest)?.size,
    list: entries.list,
    bytes: entries.bytes,
    evictableBytes: entries.evictableBytes,
    async evictOne() {
      const [digest, entry] = entries.oldest() ?? [];
      if (!digest || !entry) return false;
      await unlink(digest, entry);
      report({ kind: 'evicted', digest, size: entry.size });
      return true;
    },
    remove: (digest) => withEntry(digest, (entry) => unlink(digest, entry).then(() => true), false),
    verify: (digest, signal) => withEntry(digest, (entry) => verify(digest, entry, signal), 'unknown'),
    adopt,
    pin(digest) {
      const entry = entries.get(digest);
      return entry ? pin(entry) : () => {};
    },
  };
}

interface Opening extends SealedParts {
  readonly entries: Entries;
  readonly unlink: (digest: Digest, entry: Entry) => Promise<void>;
}

/** Undefined when the blob proves gone, or no longer itself. */
async function openEntry(
  { layout, report, now, entries, unlink }: Opening,
  digest: Digest,
  entry: Entry,
): Promise<OpenBlob | undefined> {
  // Whoever comes while it becomes a draft must not find it half way.
  if (entry.lost !== undefined) return void (await entry.lost);
  entry.usedAt = now();
  const unpin = pin(entry);
  try {
    const hashes = await knownHashes(layout, digest, entry);
    const lose = async (badBlock: number) => {
      report({ kind: 'corrupt', where: 'disk', digest, detail: `block ${badBlock} changed on the disk` });
      await demote(layout, { digest, size: entry.size, hashes: hashes ?? Buffer.alloc(0), badBlock });
      entries.forget(digest, entry);
    };
    const isLost = (badBlock: number) => {
      entry.lost ??= lose(badBlock);
      return entry.lost;
    };
    if (hashes) return await startReader(layout.blob(digest), { digest, size: entry.size, hashes, unpin, isLost });
    report({
      kind: 'corrupt',
      where: 'disk',
      digest,
      detail: 'the blob is no longer what it was; it is fetched again',
    });
    await unlink(digest, entry);
  } catch (error) {
    unpin();
    if (!isMissing(error)) throw new Failure('disk_failed', `${shortOf(digest)} cannot be read`, { cause: error });
    entries.forget(digest, entry);
  }
  unpin();
  return undefined;
}

interface ProvenFile {
  readonly path: string;
  readonly size: number;
  readonly hashes: Buffer;
}

/** The hashes first, the blob last: its name appears only when everything about it is there. */
async function moveIn(layout: Layout, digest: Digest, { path, size, hashes }: ProvenFile): Promise<void> {
  await replaceFile(layout.hashes(digest), encodeHashes(size, hashes));
  const target = layout.blob(digest);
  await makeFolderFor(target);
  await chmod(path, 0o400);
  await rename(path, target);
  await syncFolder(dirname(target));
}

async function knownHashes(layout: Layout, digest: Digest, entry: Entry): Promise<Buffer | undefined> {
  const unpin = pin(entry);
  entry.hashes ??= hashesOf(layout, digest, entry.size);
  return await entry.hashes.finally(unpin);
}

/** The block hashes on file; made anew from the proven whole when the file is torn or gone. Undefined when the blob is not its digest's. */
async function hashesOf(layout: Layout, digest: Digest, size: number): Promise<Buffer | undefined> {
  const file = await readFile(layout.hashes(digest)).catch(() => undefined);
  const noted = file && decodeHashes(file, size);
  if (noted) return noted;
  return proveAgain(layout, digest, size, new AbortController().signal);
}

/** Hashes the whole blob and notes its block hashes. Undefined when it is not its digest's. */
async function proveAgain(
  layout: Layout,
  digest: Digest,
  size: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const hashes = await hashWhole(layout.blob(digest), digest, signal);
  // A note that cannot be written costs another hashing, no more.
  if (hashes) await replaceFile(layout.hashes(digest), encodeHashes(size, hashes)).catch(() => undefined);
  return hashes;
}
