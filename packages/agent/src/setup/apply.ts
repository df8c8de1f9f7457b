import { link, mkdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, isFailure } from '@drayage/core';
import { type HostFiles, hashOf, missingFolders, readBytes } from './host-files.ts';
import {
  backupOf,
  type RecordedFile,
  readRecord,
  recordPath,
  replace,
  type SetupRecord,
  standingOf,
  syncFolder,
  writeRecord,
} from './record.ts';
import { refused } from './refusal.ts';
import type { Edit, Target } from './steps.ts';

const NEW_FILE_MODE = 0o644;
const NEW_FOLDER_MODE = 0o755;
/** How many of its own earlier contents a file is recognised by. */
const WRITTEN_MAX = 8;

/** A file that is, or would be, changed. Undefined stands for no file. */
export interface Change {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** It becomes what it was before setup. */
  readonly isUndone: boolean;
}

/** What stood in the files before setup touched them: this is what the steps of a runtime read. */
export function originalFiles(files: HostFiles, record: SetupRecord | undefined): HostFiles {
  return {
    ...files,
    read: async (path) => {
      const resolved = await files.resolve(path);
      const entry = record?.files.find((candidate) => candidate.path === resolved);
      if (!entry || (await standingOf(files, entry)) !== 'ours') return files.read(path);
      return entry.before === null ? undefined : files.read(backupOf(resolved));
    },
  };
}

/** What has to change so that the files are as the edits say, and those no longer meant are as they were. */
export async function changesFor(
  files: HostFiles,
  edits: readonly Edit[],
  record: SetupRecord | undefined,
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  const meant = new Set<string>();
  for (const { path, text } of edits) {
    const resolved = await files.resolve(path);
    meant.add(resolved);
    const before = await files.read(resolved);
    if (before !== text) changes.push({ path: resolved, before, after: text, isUndone: false });
  }
  for (const entry of record?.files ?? []) {
    if (meant.has(entry.path) || (await standingOf(files, entry)) !== 'ours') continue;
    const after = entry.before === null ? undefined : await files.read(backupOf(entry.path));
    changes.push({ path: entry.path, before: await files.read(entry.path), after, isUndone: true });
  }
  return changes;
}

/** Carries the changes out, each whole or not at all, with a record that can undo them. Undoes them all when one fails. */
export async function apply(
  files: HostFiles,
  folder: string,
  { endpoint }: Target,
  changes: readonly Change[],
): Promise<void> {
  const record = await readRecord(files, folder);
  const entries = new Map(record?.files.map((entry) => [entry.path, entry]));
  const folders = new Set(record?.folders);
  for (const { path, after, isUndone } of changes) {
    if (isUndone || after === undefined) continue;
    const known = entries.get(path);
    if (known && (await standingOf(files, known)) === 'changed since') throw changedSince(path);
    const before = known ? known.before : await hashBefore(files, path);
    const written = [...(known?.written ?? []), hashOf(Buffer.from(after))].slice(-WRITTEN_MAX);
    entries.set(path, { path, before, written });
    for (const made of await missingFolders(files, path)) folders.add(made);
  }
  for (const made of await missingFolders(files, recordPath(folder))) folders.add(made);
  const next: SetupRecord = { endpoint, files: [...entries.values()], folders: [...folders].sort() };
  try {
    for (const made of next.folders) await mkdir(files.at(made), { recursive: true, mode: NEW_FOLDER_MODE });
    await writeRecord(files, folder, next);
    for (const { path, after, isUndone } of changes) {
      const entry = entries.get(path);
      if (entry && isUndone) await restore(files, entry);
      else if (entry && after !== undefined) await write(files, entry, after);
    }
    const undone = changes.filter(({ isUndone }) => isUndone).map(({ path }) => path);
    const left = next.files.filter(({ path }) => !undone.includes(path));
    if (undone.length > 0) await writeRecord(files, folder, { ...next, files: left });
  } catch (error) {
    if (!record) await undoAll(files, folder, next);
    throw isFailure(error) ? error : refused(`${describe(error)}; nothing was changed. Run this as root`, error);
  }
}

async function hashBefore(files: HostFiles, path: string): Promise<string | null> {
  const bytes = await readBytes(files.at(path), path);
  if (!bytes) return null;
  const { nlink } = await stat(files.at(path));
  // The new file would be another than the one its other names lead to.
  if (nlink > 1) throw refused(`${path} has several names (hard links); change it by hand`);
  return hashOf(bytes);
}

async function write(files: HostFiles, { path, before }: RecordedFile, text: string): Promise<void> {
  const file = files.at(path);
  const backup = backupOf(file);
  const found = before === null ? undefined : await stat(file);
  if (before !== null) {
    const kept = await readBytes(backup, backupOf(path));
    if (kept && hashOf(kept) !== before) throw refused(`${backupOf(path)} is in the way: move it elsewhere`);
    if (!kept) await link(file, backup);
  }
  const owner = found && { uid: found.uid, gid: found.gid };
  await replace(file, text, { mode: found ? found.mode & 0o7777 : NEW_FILE_MODE, ...(owner && { owner }) });
}

/** What an undoing did. */
export interface Undone {
  readonly changes: readonly Change[];
  /** Files that were changed since and no longer lead to the agent: they stay as they are. */
  readonly kept: readonly string[];
}

/** Says what an undoing changes. Throws `setup_refused` when a file was changed since and still leads to the agent. */
export async function undoing(files: HostFiles, record: SetupRecord): Promise<Undone> {
  const changes: Change[] = [];
  const kept: string[] = [];
  const problems: string[] = [];
  for (const entry of record.files) {
    const { path, before } = entry;
    const standing = await standingOf(files, entry);
    if (standing === 'as before') continue;
    const now = await files.read(path);
    const backup = before === null ? undefined : await readBytes(files.at(backupOf(path)), backupOf(path));
    if (standing === 'changed since') {
      if (!now?.includes(record.endpoint)) kept.push(path);
      else
        problems.push(
          `${path} was changed since setup wrote it: take ${record.endpoint} out of it by hand, then undo again`,
        );
    } else if (before !== null && (!backup || hashOf(backup) !== before)) {
      problems.push(
        `${backupOf(path)}, which holds what was there before, is gone or was changed: put ${path} right by hand`,
      );
    } else changes.push({ path, before: now, after: backup?.toString(), isUndone: true });
  }
  if (problems.length > 0) throw refused(`nothing was changed:\n${problems.join('\n')}`);
  return { changes, kept };
}

/** Puts every file back as it was, and removes what was made. */
export async function undo(files: HostFiles, folder: string, record: SetupRecord): Promise<void> {
  try {
    await undoAll(files, folder, record);
  } catch (error) {
    throw isFailure(error) ? error : refused(`${describe(error)}. Run this as root, and again`, error);
  }
}

async function undoAll(files: HostFiles, folder: string, record: SetupRecord): Promise<void> {
  for (const entry of record.files) await restore(files, entry);
  await rm(files.at(await files.resolve(recordPath(folder))), { force: true });
  for (const made of record.folders.toReversed()) {
    await rmdir(files.at(made)).catch((error: NodeJS.ErrnoException) => {
      // What others put there meanwhile stays.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error;
    });
  }
}

async function restore(files: HostFiles, entry: RecordedFile): Promise<void> {
  const file = files.at(entry.path);
  const standing = await standingOf(files, entry);
  if (standing !== 'ours') await rm(backupOf(file), { force: true });
  else if (entry.before === null) await rm(file);
  else await rename(backupOf(file), file);
  if (standing === 'ours') await syncFolder(dirname(file));
}

function changedSince(path: string) {
  return refused(`${path} was changed since setup wrote it; look at it, then run this with --undo first, and again`);
}
