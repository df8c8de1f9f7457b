import type { Stats } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const FREE_SHARE = 0.8;
const QUOTA_BYTES_MAX = 200 * 1024 ** 3;
const STATS_AT_ONCE = 64;

/**
 * The quota of a store that was given none: a share of what is free on its disk or held by itself already, so that a
 * restart with a full store does not shrink it.
 */
export async function defaultQuota(root: string): Promise<number> {
  const { bavail, bsize } = await statfs(root);
  const free = bavail * bsize;
  if (free * FREE_SHARE >= QUOTA_BYTES_MAX) return QUOTA_BYTES_MAX;
  return Math.min(Math.floor((free + (await heldBytes(root))) * FREE_SHARE), QUOTA_BYTES_MAX);
}

/** Counts blocks, not lengths: a draft is sparse. */
async function heldBytes(root: string): Promise<number> {
  const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  let bytes = 0;
  for (let at = 0; at < files.length; at += STATS_AT_ONCE) {
    const batch = files.slice(at, at + STATS_AT_ONCE).map((entry) => stat(join(entry.parentPath, entry.name)));
    for (const stats of await Promise.allSettled<Stats>(batch)) {
      if (stats.status === 'fulfilled') bytes += stats.value.blocks * 512;
    }
  }
  return bytes;
}
