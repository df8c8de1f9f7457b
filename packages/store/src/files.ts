import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a rename in this folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The folder a file is about to be moved to, durable itself. */
export async function makeFolderFor(path: string): Promise<void> {
  const folder = dirname(path);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncFolder(dirname(folder));
}

let replaced = 0;

/** A file that is whole or not there, without waiting for the disk: for what can be made again. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  await makeFolderFor(path);
  // Whoever writes the same file at the same moment must not find this one moved away.
  const fresh = `${path}.${replaced++}.new`;
  await writeFile(fresh, bytes, { mode: 0o600 });
  await rename(fresh, path);
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

const DISK_TROUBLE = new Set(['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENODEV', 'ESTALE']);

/** Whether it is the disk that fails, rather than somebody who set it up wrongly. */
export function isDiskTrouble(error: unknown): boolean {
  return error instanceof Error && 'code' in error && DISK_TROUBLE.has(String(error.code));
}
