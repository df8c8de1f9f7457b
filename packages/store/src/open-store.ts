import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobStore, type Catalog, type Digest, Failure, type Report } from '@drayage/core';
import { hashBlocks } from './blocks.ts';
import { openCatalog } from './catalog.ts';
import { openContentStore } from './content-store.ts';
import { openDrafts } from './drafts.ts';
import { asError, isDiskTrouble } from './files.ts';
import { openIntakes } from './intakes.ts';
import { type Layout, layoutOf } from './layout.ts';
import { takeLock } from './lock.ts';
import { openSealed, type Sealed } from './sealed.ts';
import { defaultQuota, type Space, watchSpace } from './space.ts';
import { withinMs } from './within.ts';

const PROBE_BYTES = 4096;
/** Whoever puts something has a client waiting. */
const PUT_WAIT_MS = 2000;

export interface StoreParts {
  readonly root: string;
  /** By default 80 % of what is free on the disk or held by the store already, at most 200 GiB. */
  readonly quotaBytes: number | undefined;
  /** The folder of a runtime's own content store, to be read as well. */
  readonly contentFolder?: string | undefined;
  readonly report: Report;
  readonly now?: () => number;
}

/** The blobs on this disk, and what is known about them. */
export interface Store extends BlobStore {
  readonly catalog: Catalog;
  /** What the runtime's content store names at present; nothing without one. */
  listContent(): Promise<readonly Digest[]>;
}

/** Opens the folder for this process alone. Throws `store_in_use`, or `disk_failed` when the folder cannot be used at all. */
export async function openStore(parts: StoreParts): Promise<Store> {
  const { root, quotaBytes: wantedQuota, contentFolder, report, now = Date.now } = parts;
  const layout = layoutOf(root);
  const kept = new AsyncDisposableStack();
  const ours = ownership(layout, kept);
  const broken = await ours.take().then(() => undefined, asDiskTrouble);
  const catalog = kept.use(await openCatalog(layout.catalog, report, now));
  const sealed = openSealed({ layout, report, now, usedAt: (digest) => catalog.usedAt(digest) });
  const drafts = openDrafts({ layout, sealed, report, now, space: () => space });
  const intakes = openIntakes({ layout, sealed, report, space: () => space });
  const quotaBytes = wantedQuota ?? (await defaultQuota(root, sealed.bytes() + drafts.bytes()));
  const space: Space = watchSpace({
    root,
    quotaBytes,
    report,
    now,
    probe: ours.probe,
    usedBytes: () => sealed.bytes() + drafts.bytes() + intakes.bytes(),
    unwrittenBytes: () => drafts.unwrittenBytes(),
    evictableBytes: () => sealed.evictableBytes() + drafts.idleBytes(),
    evictOne: async () => (await sealed.evictOne()) || drafts.evictOne(),
  });
  if (broken) space.trouble(broken);
  const content = contentFolder === undefined ? undefined : openContentStore(contentFolder, layout, report);

  return {
    catalog,
    async open(digest) {
      const blob = await sealed.open(digest);
      if (blob) catalog.use(digest);
      return blob ?? (await content?.open(digest));
    },
    draft: (digest, size) => drafts.take(digest, size),
    intake: () => intakes.take(),
    put: putter({ layout, sealed, space, report }),
    blockHashes: async (digest) => (await sealed.blockHashes(digest)) ?? (await content?.blockHashes(digest)),
    sizeOf: (digest) => sealed.sizeOf(digest) ?? content?.sizeOf(digest),
    list: () => sealed.list(),
    listContent: async () => (await content?.list()) ?? [],
    remove: async (digest) => (await sealed.remove(digest)) || drafts.remove(digest),
    verify: (digest, signal) => sealed.verify(digest, signal),
    status: () => ({
      blobs: sealed.list().length,
      bytes: sealed.bytes(),
      drafts: drafts.count(),
      draftBytes: drafts.bytes(),
      quotaBytes,
      passThrough: space.passThrough(),
    }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The folder taken for this process, at once or, when the disk fails at the start, with the first probe that succeeds. */
function ownership(layout: Layout, kept: AsyncDisposableStack): { take(): Promise<void>; probe(): Promise<void> } {
  let isTaken = false;
  async function take(): Promise<void> {
    if (isTaken) return;
    prepare(layout);
    kept.use(await takeLock(layout.lock));
    isTaken = true;
  }
  async function probe(): Promise<void> {
    await take();
    await writeDurably(layout.probe, Buffer.alloc(PROBE_BYTES));
    await rm(layout.probe);
  }
  return { take, probe };
}

interface PutParts {
  readonly layout: Layout;
  readonly sealed: Sealed;
  readonly space: Space;
  readonly report: Report;
}

function putter({ layout, sealed, space, report }: PutParts): BlobStore['put'] {
  let count = 0;
  return async (digest, bytes) => {
    if (sealed.sizeOf(digest) !== undefined) return true;
    if (!(await space.makeRoom(bytes.length))) return false;
    const path = join(layout.drafts, `put-${count++}`);
    const write = async () => {
      await writeDurably(path, bytes);
      await sealed.adopt(digest, { path, size: bytes.length, hashes: hashBlocks([bytes]) });
    };
    try {
      await withinMs(PUT_WAIT_MS, write());
      report({ kind: 'sealed', digest, size: bytes.length });
      return true;
    } catch (error) {
      space.trouble(asError(error));
      await rm(path, { force: true }).catch(() => undefined);
      return false;
    }
  };
}

/** A disk that fails is no reason not to start: without it, everything passes through. Anything else is. */
function asDiskTrouble(error: unknown): Error {
  if (isDiskTrouble(error)) return asError(error);
  if (error instanceof Failure) throw error;
  throw new Failure('disk_failed', 'the data folder cannot be used', { cause: error });
}

function prepare({ root, folders }: Layout): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const { mode } = statSync(root);
  if (mode & 0o002)
    throw new Failure('disk_failed', `${root} can be written by every user; take that right away (chmod 700)`);
  if (mode & 0o077) chmodSync(root, 0o700);
  for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
