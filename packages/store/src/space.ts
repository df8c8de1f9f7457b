import { statfs } from 'node:fs/promises';
import { describe, type Report } from '@drayage/core';
import { withinMs } from './within.ts';

/** Evicting goes on down to this share of the quota, so that it does not run for every new blob. */
const LOW_MARK = 0.9;
/** What is left free on the disk for others: this share of it, at most this many bytes. */
const KEEP_FREE_SHARE = 0.02;
const KEEP_FREE_BYTES_MAX = 1024 ** 3;
const PROBE_EVERY_MS = 1000;
const PROBE_WAIT_MS = 5000;

const QUOTA_SHARE = 0.8;
const QUOTA_BYTES_MAX = 200 * 1024 ** 3;

/** The quota of a store that was given none. What it holds counts as free, so that a restart does not shrink it. */
export async function defaultQuota(root: string, heldBytes: number): Promise<number> {
  const { bavail, bsize } = await statfs(root).catch(noDisk);
  return Math.min(Math.floor((bavail * bsize + heldBytes) * QUOTA_SHARE), QUOTA_BYTES_MAX);
}

/** A disk that cannot be asked takes nothing either, which is told when something is to be written. */
function noDisk(): { readonly bavail: number; readonly bsize: number } {
  return { bavail: 0, bsize: 0 };
}

export interface SpaceParts {
  readonly root: string;
  /** Does what writing needs, for a test; throws while the disk fails. */
  readonly probe: () => Promise<void>;
  readonly quotaBytes: number;
  readonly report: Report;
  readonly now: () => number;
  readonly usedBytes: () => number;
  /** Promised to drafts but not on the disk yet. */
  readonly unwrittenBytes: () => number;
  /** What evicting could give back at most. */
  readonly evictableBytes: () => number;
  /** Evicts the least recently used blob that nobody holds. False when there is none. */
  readonly evictOne: () => Promise<boolean>;
}

/** Decides whether anything may be written. */
export interface Space {
  /** Makes room for so many bytes more; false when the disk or the quota has none, or the disk is in trouble. */
  makeRoom(bytes: number): Promise<boolean>;
  /** The disk failed: nothing is written until a probe succeeds. */
  trouble(error: Error): void;
  passThrough(): string | undefined;
}

export function watchSpace(parts: SpaceParts): Space {
  let reason: string | undefined;
  let probing: Promise<void> | undefined;
  let probedAt = Number.NEGATIVE_INFINITY;
  let failing = false;

  function enter(next: string | undefined): void {
    if ((next === undefined) !== (reason === undefined)) parts.report({ kind: 'store_state', passThrough: next });
    reason = next;
  }

  async function recovered(): Promise<boolean> {
    if (!failing) return true;
    if (!probing && parts.now() - probedAt >= PROBE_EVERY_MS) {
      probedAt = parts.now();
      probing = withinMs(PROBE_WAIT_MS, parts.probe())
        .then(() => {
          failing = false;
        })
        .catch((error: unknown) => enter(describe(error)))
        .finally(() => {
          probing = undefined;
        });
    }
    await probing;
    return !failing;
  }

  /** How many bytes too much it would be, by the quota and by the disk. */
  async function lacking(bytes: number): Promise<{ readonly quota: number; readonly disk: number }> {
    const { bavail, blocks, bsize } = await statfs(parts.root);
    const keepFree = Math.min(blocks * bsize * KEEP_FREE_SHARE, KEEP_FREE_BYTES_MAX);
    return {
      quota: parts.usedBytes() + bytes - parts.quotaBytes,
      disk: keepFree + parts.unwrittenBytes() + bytes - bavail * bsize,
    };
  }

  async function makeRoom(bytes: number): Promise<boolean> {
    if (!(await recovered())) return false;
    let { quota, disk } = await lacking(bytes);
    // A blob that cannot fit must not empty the cache first.
    if (Math.max(quota, disk) <= parts.evictableBytes()) {
      const target = quota > 0 ? quota + parts.quotaBytes * (1 - LOW_MARK) : 0;
      const before = parts.usedBytes();
      while (before - parts.usedBytes() < Math.max(target, disk) && (await parts.evictOne()));
      ({ quota, disk } = await lacking(bytes));
    }
    enter(disk > 0 ? 'the disk is full' : quota > 0 ? 'the quota is too small for what is in use' : undefined);
    return disk <= 0 && quota <= 0;
  }

  return {
    makeRoom: (bytes) =>
      makeRoom(bytes).catch((error: unknown) => {
        trouble(error);
        return false;
      }),
    trouble,
    passThrough: () => reason,
  };

  function trouble(error: unknown): void {
    failing = true;
    probedAt = parts.now();
    enter(describe(error));
  }
}
