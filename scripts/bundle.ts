/** Makes the release in dist/, or in the folder given: the agent as one file for a bare Node, and what cannot be in it. */
import { chmod, copyFile, mkdir, readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const ROOT = resolve(import.meta.dirname, '..');
const NAME = 'drayage.mjs';
/** The flag is that of ./drayage, which says why. */
const FIRST_LINE = '#!/usr/bin/env -S node --max-semi-space-size=8';
/** Compiled code, which is looked for beside the bundle first. */
const NATIVE = 'blake-hash';
const LEFT_OUT = [/\.node$/, new RegExp(`^@napi-rs/${NATIVE}-`), './blake.wasi.cjs'];
const PACKAGE = /^(.*\/node_modules\/(?:@[^/]+\/)?([^/@][^/]*))\//;

await bundle(resolve(process.argv[2] ?? join(ROOT, 'dist')));

async function bundle(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const moduleIds = await writeScript(join(folder, NAME));
  const packages = [...new Set(moduleIds.flatMap((id) => PACKAGE.exec(id)?.[1] ?? []))].sort();
  const native = packages.find((path) => basename(path) === NATIVE);
  if (native === undefined) throw new Error(`nothing in the agent uses ${NATIVE}`);
  const compiled = await compiledFor(native);
  for (const file of compiled) await copyFile(file, join(folder, basename(file)));
  await writeFile(join(folder, 'LICENSES'), await licences([ROOT, ...packages]));
  console.log(
    [NAME, ...compiled.map((file) => basename(file)), 'LICENSES'].map((name) => join(folder, name)).join('\n'),
  );
}

/** Writes the one file, and returns the modules that are in it. */
async function writeScript(file: string): Promise<readonly string[]> {
  await using build = await rolldown({
    input: join(ROOT, 'packages/agent/src/main.ts'),
    platform: 'node',
    external: LEFT_OUT,
    // Else what is beside the bundle would be looked for where it was beside its module.
    makeAbsoluteExternalsRelative: false,
    onLog: (_, { message }) => {
      throw new Error(`the bundle would not be whole: ${message}`);
    },
  });
  // Left legible, so that stack traces are.
  const { output } = await build.write({ file, format: 'esm', codeSplitting: false, banner: FIRST_LINE });
  const [script, ...others] = output;
  const outside = script.imports.filter((name) => !isBuiltin(name));
  if (outside.length + others.length > 0) throw new Error(`the bundle needs more than Node: ${outside.join(', ')}`);
  await chmod(file, 0o755);
  return script.moduleIds;
}

/** The compiled files that were installed for this machine: packages beside the one that loads them. */
async function compiledFor(native: string): Promise<readonly string[]> {
  const scope = dirname(await realpath(native));
  const folders = (await readdir(scope))
    .filter((name) => name.startsWith(`${NATIVE}-`))
    .map((name) => join(scope, name));
  const files = await Promise.all(folders.map(async (path) => (await readdir(path)).map((name) => join(path, name))));
  const compiled = files.flat().filter((path) => path.endsWith('.node'));
  if (compiled.length === 0) throw new Error(`no compiled code of ${NATIVE} was installed for this machine`);
  return compiled;
}

/** The terms of everything that is in the bundle. */
async function licences(packages: readonly string[]): Promise<string> {
  const texts = packages.map(async (path) => {
    const { name, version, license } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'));
    const files = (await readdir(path)).filter((file) => /^licen[cs]e/i.test(file));
    const terms = await Promise.all(files.map((file) => readFile(join(path, file), 'utf8')));
    return [`${name} ${version}: ${license}`, ...terms.map((text) => text.trim())].join('\n\n');
  });
  return `${(await Promise.all(texts)).join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}
