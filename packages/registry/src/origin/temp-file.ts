import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempFile extends AsyncDisposable {
  readonly path: string;
  readonly folder: string;
}

/** A file in a folder of its own, gone when disposed. */
export async function tempFile(content: string, name = 'file', mode = 0o600): Promise<TempFile> {
  const folder = await mkdtemp(join(tmpdir(), 'drayage-'));
  const path = join(folder, name);
  await writeFile(path, content, { mode });
  return { path, folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
