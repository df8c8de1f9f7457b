import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type HostFiles, hashOf, readBytes } from './host-files.ts';
import { refused } from './refusal.ts';

const NAME = 'drayage-setup.json';
const VERSION = 1;
const FILES_MAX = 1024;
const HASH = /^[0-9a-f]{64}$/;

/** What was done to one runtime's files, so that it can be undone. It lies beside them. */
export interface SetupRecord {
  readonly endpoint: string;
  readonly files: readonly RecordedFile[];
  /** Folders that were made, the outermost first. */
  readonly folders: readonly string[];
}

export interface RecordedFile {
  readonly path: string;
  /** The hash of what was there before; null when nothing was. */
  readonly before: string | null;
  /** The hashes of what was written, the newest last: a crash may have left any of them. */
  readonly written: readonly string[];
}

/** Whose a recorded file is now. */
export type Standing = 'ours' | 'as before' | 'changed since';

/** What a file was before stays beside it under this name: moved aside, so that owner, times and all else stay with it. */
export function backupOf(path: string): string {
  return `${path}.before-drayage`;
}

export function recordPath(folder: string): string {
  return join(folder, NAME);
}

/** What was done before; undefined when nothing was. Throws when the record cannot be trusted. */
export async function readRecord(files: HostFiles, folder: string): Promise<SetupRecord | undefined> {
  const path = recordPath(folder);
  const text = await files.read(path);
  if (text === undefined) return undefined;
  try {
    const { version, ...record } = JSON.parse(text) as SetupRecord & { version: unknown };
    if (version === VERSION && isRecord(record)) return record;
  } catch (error) {
    throw refused(damaged(path), error);
  }
  throw refused(damaged(path));
}

function damaged(path: string): string {
  return `${path}, the record of what setup did, is damaged: put the *.before-drayage files back by hand and remove it`;
}

function isRecord({ endpoint, files, folders }: SetupRecord): boolean {
  const isPath = (path: unknown) => typeof path === 'string' && path.startsWith('/') && !path.split('/').includes('..');
  return (
    typeof endpoint === 'string' &&
    Array.isArray(folders) &&
    folders.every(isPath) &&
    Array.isArray(files) &&
    files.length <= FILES_MAX &&
    files.every(
      ({ path, before, written }: RecordedFile) =>
        isPath(path) && (before === null || HASH.test(before)) && written.every((hash) => HASH.test(hash)),
    )
  );
}

export async function writeRecord(files: HostFiles, folder: string, record: SetupRecord): Promise<void> {
  const text = `${JSON.stringify({ version: VERSION, ...record }, undefined, 2)}\n`;
  await replace(files.at(await files.resolve(recordPath(folder))), text, { mode: 0o600 });
}

export async function standingOf(files: HostFiles, { path, before, written }: RecordedFile): Promise<Standing> {
  const bytes = await readBytes(files.at(path), path);
  const hash = bytes ? hashOf(bytes) : null;
  if (hash === before) return 'as before';
  return hash !== null && written.includes(hash) ? 'ours' : 'changed since';
}

/** Puts a file into its place whole: whoever reads it sees the old one or the new one. */
export async function replace(
  file: string,
  text: string,
  { mode, owner }: { readonly mode: number; readonly owner?: { readonly uid: number; readonly gid: number } },
): Promise<void> {
  const partial = `${file}.drayage-partial`;
  try {
    {
      await using handle = await open(partial, 'w', mode);
      await handle.writeFile(text);
      if (owner) await handle.chown(owner.uid, owner.gid);
      await handle.chmod(mode);
      await handle.sync();
    }
    await rename(partial, file);
    await syncFolder(dirname(file));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}
