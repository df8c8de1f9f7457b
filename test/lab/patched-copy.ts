import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { must } from './process.ts';

/** A change to one file of the sources: a text that occurs in it once, and what stands there instead. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

const ROOT = resolve(import.meta.dirname, '../..');
const COPIED = ['packages', 'scripts', 'drayage', 'package.json', 'pnpm-lock.yaml'];

/**
 * Copies the agent's sources into a folder and changes them there: how a member gets to do what no agent would.
 * Returns the command line of the copy. Throws when a text to be changed is no longer there, or not once.
 */
export async function patchedCopy(
  folder: string,
  patches: readonly Patch[],
  added: Readonly<Record<string, string>>,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  // The links between the packages are relative: in the copy they lead to the copy.
  await must('cp', ['-a', ...COPIED.map((name) => join(ROOT, name)), folder]);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const [file, text] of Object.entries(added)) writeFileSync(join(folder, file), text);
  for (const { file, find, put } of patches) {
    const parts = readFileSync(join(folder, file), 'utf8').split(find);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${find}`);
    writeFileSync(join(folder, file), parts.join(put));
  }
  return join(folder, 'drayage');
}
