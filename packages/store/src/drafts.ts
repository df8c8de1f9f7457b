import { rmSync, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, type Draft, type PiecePlan, planPieces, type Report } from '@drayage/core';
import { startDraft } from './draft.ts';
import { changedPieces, type DraftMap, emptyMap, readMap, startMap, writeRecord } from './draft-map.ts';
import { namesIn } from './entries.ts';
import { asError } from './files.ts';
import { digestOfDraft, type Layout } from './layout.ts';
import type { Sealed } from './sealed.ts';
import type { Space } from './space.ts';
import { withinMs } from './within.ts';

/** Whoever wants a draft waits no longer for the one before to be closed. */
const CLOSE_WAIT_MS = 3000;

export interface DraftsParts {
  readonly layout: Layout;
  readonly sealed: Sealed;
  readonly space: () => Space;
  readonly report: Report;
  readonly now: () => number;
}

/** The drafts on this disk: those that somebody holds, and those that wait to be taken up again. */
export interface Drafts {
  take(digest: Digest, size: number): Promise<Draft | undefined>;
  count(): number;
  /** What drafts take up: held ones with their whole size, waiting ones with what is on the disk. */
  bytes(): number;
  unwrittenBytes(): number;
  idleBytes(): number;
  /** Throws away the waiting draft that was touched least recently. False when there is none. */
  evictOne(): Promise<boolean>;
  remove(digest: Digest): Promise<boolean>;
}

interface Held {
  readonly size: number;
  readonly hold: () => Draft;
  readonly heldBytes: () => number;
}

interface Idle {
  readonly bytes: number;
  readonly touchedAt: number;
}

interface Tables {
  /** One start per digest, shared by whoever asks meanwhile. */
  readonly starting: Map<Digest, Promise<Held | undefined>>;
  readonly held: Map<Digest, Held>;
  readonly idle: Map<Digest, Idle>;
  /** Drafts that nobody holds any more, until their files are closed. */
  readonly closing: Map<Digest, Promise<void>>;
}

export function openDrafts(parts: DraftsParts): Drafts {
  const tables: Tables = { starting: new Map(), held: new Map(), idle: scanIdle(parts.layout), closing: new Map() };
  const { starting, held, idle } = tables;

  async function take(digest: Digest, size: number): Promise<Draft | undefined> {
    const start = starting.get(digest) ?? startHeld(parts, tables, digest, size);
    starting.set(digest, start);
    const found = await start;
    if (!found && starting.get(digest) === start) starting.delete(digest);
    // Another size for the same digest is a lie by somebody; whose, only fetching can tell.
    if (!found || found.size !== size) return undefined;
    return found.hold();
  }

  async function remove(digest: Digest): Promise<boolean> {
    const found = idle.delete(digest);
    if (found) await rm(parts.layout.draft(digest).folder, { recursive: true, force: true });
    return found;
  }

  return {
    take,
    count: () => held.size + idle.size,
    bytes: () => sum(held.values(), ({ size }) => size) + sum(idle.values(), ({ bytes }) => bytes),
    unwrittenBytes: () => sum(held.values(), ({ size, heldBytes }) => size - heldBytes()),
    idleBytes: () => sum(idle.values(), ({ bytes }) => bytes),
    async evictOne() {
      const oldest = [...idle].sort(([, a], [, b]) => a.touchedAt - b.touchedAt)[0];
      return oldest ? remove(oldest[0]) : false;
    },
    remove,
  };
}

/** Undefined when there is no room, or the disk fails. */
async function startHeld(parts: DraftsParts, tables: Tables, digest: Digest, size: number): Promise<Held | undefined> {
  const { idle, held, closing } = tables;
  if (!(await isClosed(parts, closing.get(digest)))) return undefined;
  const waiting = idle.get(digest);
  // It must not be evicted to make room for itself.
  idle.delete(digest);
  if (!(await parts.space().makeRoom(size))) {
    if (waiting) idle.set(digest, waiting);
    return undefined;
  }
  try {
    const files = await openFiles(parts.layout, digest, planPieces(size));
    const started = { size, ...holdFiles(parts, tables, files, { digest, size }) };
    held.set(digest, started);
    return started;
  } catch (error) {
    parts.space().trouble(asError(error));
    idle.set(digest, waiting ?? { bytes: 0, touchedAt: parts.now() });
    return undefined;
  }
}

/** Whether it is, in time. A disk that hangs in it would hang whoever waits. */
async function isClosed(parts: DraftsParts, closing: Promise<void> = Promise.resolve()): Promise<boolean> {
  try {
    await withinMs(CLOSE_WAIT_MS, closing);
    return true;
  } catch (error) {
    parts.space().trouble(asError(error));
    return false;
  }
}

function holdFiles(
  parts: DraftsParts,
  tables: Tables,
  files: Files,
  { digest, size }: { digest: Digest; size: number },
): Omit<Held, 'size'> {
  const { data, folder } = parts.layout.draft(digest);
  let unpin: (() => void) | undefined;
  return startDraft({
    digest,
    plan: planPieces(size),
    data: files.data,
    mapFile: files.mapFile,
    map: files.map,
    report: parts.report,
    now: parts.now,
    trouble: (error) => parts.space().trouble(error),
    async keep() {
      // A sync that failed once says nothing the next time, so it is never tried again: the file is given up.
      await files.data.sync();
      await parts.sealed.adopt(digest, { path: data, size, hashes: files.map.hashes });
      unpin = parts.sealed.pin(digest);
      parts.report({ kind: 'sealed', digest, size });
      await rm(folder, { recursive: true, force: true });
    },
    async release() {
      tables.starting.delete(digest);
      tables.held.delete(digest);
      unpin?.();
      const closing = close().finally(() => tables.closing.delete(digest));
      tables.closing.set(digest, closing);
      await closing;
    },
  });

  async function close(): Promise<void> {
    await files.data.close().catch(() => undefined);
    await files.mapFile.close().catch(() => undefined);
    if (!unpin) tables.idle.set(digest, { bytes: bytesOnDisk(data), touchedAt: parts.now() });
  }
}

function sum<Item>(items: Iterable<Item>, of: (item: Item) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}

function scanIdle(layout: Layout): Map<Digest, Idle> {
  const idle = new Map<Digest, Idle>();
  for (const name of namesIn(layout.drafts)) {
    const digest = digestOfDraft(name);
    // A small blob that was being put when the process ended.
    if (!digest) rmSync(join(layout.drafts, name), { recursive: true, force: true });
    if (!digest) continue;
    const stats = statSync(layout.draft(digest).data, { throwIfNoEntry: false });
    idle.set(digest, { bytes: (stats?.blocks ?? 0) * 512, touchedAt: stats?.mtimeMs ?? 0 });
  }
  return idle;
}

function bytesOnDisk(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}

interface Files {
  readonly data: FileHandle;
  readonly mapFile: FileHandle;
  readonly map: DraftMap;
}

/** Takes up what an earlier process left, as far as its bytes are still what it noted. */
async function openFiles(layout: Layout, digest: Digest, plan: PiecePlan): Promise<Files> {
  const { folder, data: dataPath, map: mapPath } = layout.draft(digest);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const opened: FileHandle[] = [];
  const openFile = async (path: string): Promise<FileHandle> => {
    const file = await open(path, 'a+', 0o600).then(async (made) => {
      // Made if missing, then opened for writing in place: appending would ignore positions.
      await made.close();
      return open(path, 'r+');
    });
    opened.push(file);
    return file;
  };
  try {
    const data = await openFile(dataPath);
    const mapFile = await openFile(mapPath);
    const { size } = await data.stat();
    const map = size > plan.size ? emptyMap(plan) : await readMap(mapFile, plan);
    const gone = await changedPieces(data, plan, map);
    for (const piece of gone) map.present[piece] = 0;
    if (size > plan.size) await data.truncate(0);
    await data.truncate(plan.size);
    if (!map.present.some(Boolean)) await mapFile.truncate(0);
    await startMap(mapFile, plan);
    for (const piece of gone) await writeRecord(mapFile, plan, piece, map);
    return { data, mapFile, map };
  } catch (error) {
    for (const file of opened) await file.close().catch(() => undefined);
    throw error;
  }
}
