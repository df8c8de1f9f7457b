import { open, readFile, rm } from 'node:fs/promises';
import { Failure } from '@drayage/core';
import { newSwarmKey, parseSwarmKeys } from '@drayage/swarm/settings';

/** The keys of a file that the options name. Throws `options_invalid` when they cannot be had from it. */
export async function readSwarmKeys(path: string): Promise<ReturnType<typeof parseSwarmKeys>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new Failure('options_invalid', '--swarm-key-file cannot be read', { cause: error });
  });
  return parseSwarmKeys(text, path);
}

/** A new key with its name, which is no secret. */
export function makeSwarmKey(): { readonly key: string; readonly id: string } {
  const key = newSwarmKey();
  const [made] = parseSwarmKeys(key, 'a new key');
  if (!made) throw new Error('a new key cannot be read');
  return { key, id: made.id };
}

/** Writes a key to a new file that only its owner may read. Throws when there is such a file: it may be in use. */
export async function saveSwarmKey(key: string, path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw new Failure('disk_failed', `${path} cannot be made`, { cause: error });
    throw new Failure('unsupported', `${path} exists and is left as it is; name another file, or move it away`);
  });
  try {
    await file.writeFile(`${key}\n`);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw new Failure('disk_failed', `${path} cannot be written`, { cause: error });
  } finally {
    await file.close();
  }
}
