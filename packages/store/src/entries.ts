import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, type HeldBlob, parseDigest } from '@drayage/core';
import type { Layout } from './layout.ts';

/** A sealed blob as the store knows it without opening it. */
export interface Entry {
  readonly size: number;
  usedAt: number;
  pins: number;
  /** Its block hashes, while somebody reads it. */
  hashes: Promise<Buffer | undefined> | undefined;
  /** Set when it was found changed: done when its file has become a draft. */
  lost: Promise<void> | undefined;
}

/** The names and sizes of the sealed blobs, and who holds them. */
export interface Entries {
  get(digest: Digest): Entry | undefined;
  add(digest: Digest, size: number): void;
  /** Forgets this very entry; a younger one under the same name stays. */
  forget(digest: Digest, entry: Entry): void;
  oldest(): [Digest, Entry] | undefined;
  list(): HeldBlob[];
  bytes(): number;
  evictableBytes(): number;
}

/** Keeps the entry from eviction until the answer is called. */
export function pin(entry: Entry): () => void {
  let pinned = true;
  entry.pins++;
  return () => {
    if (!pinned) return;
    pinned = false;
    entry.pins--;
    if (entry.pins === 0) entry.hashes = undefined;
  };
}

export function loadEntries(
  layout: Layout,
  usedAt: (digest: Digest) => number | undefined,
  now: () => number,
): Entries {
  const entries = scan(layout, usedAt);
  let bytes = 0;
  for (const { size } of entries.values()) bytes += size;

  function forget(digest: Digest, entry: Entry): void {
    if (entries.get(digest) !== entry) return;
    entries.delete(digest);
    bytes -= entry.size;
  }

  return {
    get: (digest) => entries.get(digest),
    add(digest, size) {
      const before = entries.get(digest);
      if (before) forget(digest, before);
      entries.set(digest, { size, usedAt: now(), pins: 0, hashes: undefined, lost: undefined });
      bytes += size;
    },
    forget,
    oldest() {
      let found: [Digest, Entry] | undefined;
      for (const [digest, entry] of entries) {
        if (entry.pins === 0 && (!found || entry.usedAt < found[1].usedAt)) found = [digest, entry];
      }
      return found;
    },
    list: () => [...entries].map(([digest, { size, usedAt: lastUsedAt }]) => ({ digest, size, lastUsedAt })),
    bytes: () => bytes,
    evictableBytes: () => [...entries.values()].reduce((sum, { size, pins }) => (pins === 0 ? sum + size : sum), 0),
  };
}

/** Every sealed blob by name and size. Synchronous: ten thousand take a tenth of a second, and nothing else runs yet. */
function scan(layout: Layout, usedAt: (digest: Digest) => number | undefined): Map<Digest, Entry> {
  const entries = new Map<Digest, Entry>();
  for (const algorithm of ['sha256', 'sha512']) {
    const folder = join(layout.root, 'blobs', algorithm);
    for (const shard of namesIn(folder)) {
      for (const name of namesIn(join(folder, shard))) {
        const digest = parseDigest(`${algorithm}:${name}`);
        const stats = digest && statFile(layout.blob(digest));
        if (!digest || !stats) continue;
        entries.set(digest, {
          size: stats.size,
          usedAt: usedAt(digest) ?? stats.mtimeMs,
          pins: 0,
          hashes: undefined,
          lost: undefined,
        });
      }
    }
  }
  return entries;
}

function statFile(path: string): Stats | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() ? stats : undefined;
  } catch {
    return undefined;
  }
}

/** A folder that cannot be read counts as empty: its blobs could not be read either, and are fetched again. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
