import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { describe } from '@drayage/core';
import { refused } from './refusal.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const LINKS_MAX = 40;
const NAMES_MAX = 1024;

/** The files of a host, whose root may be mounted anywhere; paths are those the host itself would use. */
export interface HostFiles {
  /** Where the host's root is: `/`, or where a container sees it. */
  readonly root: string;
  /** The path behind every link, still as the host would name it; links never lead out of the root. */
  resolve(path: string): Promise<string>;
  /** Where this process finds a resolved path. */
  at(resolved: string): string;
  /** Undefined when there is no such file. Throws on what is too large or no text. */
  read(path: string): Promise<string | undefined>;
  /** The names in a folder, sorted; none when there is no such folder. */
  list(path: string): Promise<readonly string[]>;
  exists(path: string): Promise<boolean>;
}

export function hostFiles(root: string): HostFiles {
  const at = (resolved: string) => join(root, resolved);

  async function resolve(path: string): Promise<string> {
    let resolved = '/';
    const left = path.split('/').filter((part) => part !== '');
    for (let links = 0; ; ) {
      const part = left.shift();
      if (part === undefined) return resolved;
      const next = normalize(join(resolved, part));
      const found = await lstat(at(next)).catch(() => undefined);
      if (!found?.isSymbolicLink()) {
        resolved = next;
        continue;
      }
      links += 1;
      if (links > LINKS_MAX) throw refused(`${path}: too many links lead there`);
      const target = await readlink(at(next));
      if (isAbsolute(target)) resolved = '/';
      left.unshift(...target.split('/').filter((piece) => piece !== ''));
    }
  }

  return {
    root,
    resolve,
    at,
    async read(path) {
      const bytes = await readBytes(at(await resolve(path)), path);
      return bytes && decoded(bytes, path);
    },
    async list(path) {
      const names = await readdir(at(await resolve(path))).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
        throw refused(`${path} cannot be read: ${describe(error)}`, error);
      });
      return names.sort().slice(0, NAMES_MAX);
    },
    async exists(path) {
      return (await stat(at(await resolve(path))).catch(() => undefined)) !== undefined;
    },
  };
}

/** The bytes of a small file; undefined when there is none. `shown` is its name for people. */
export async function readBytes(file: string, shown: string): Promise<Buffer | undefined> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw refused(`${shown} is no file`);
    if (found.size > FILE_BYTES_MAX) throw refused(`${shown} is larger than ${FILE_BYTES_MAX} bytes`);
    return await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EACCES') throw refused(`${shown} cannot be read: run this as root`, error);
    throw error;
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function decoded(bytes: Uint8Array, path: string): string {
  try {
    // A byte order mark is kept: what is not changed stays as it is.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw refused(`${path} is not written in UTF-8; nothing was changed`, error);
  }
}

/** The folders above a path that are not there, the outermost first. */
export async function missingFolders(files: HostFiles, path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let folder = dirname(path); folder !== '/' && !(await files.exists(folder)); folder = dirname(folder)) {
    missing.unshift(folder);
  }
  return missing;
}
