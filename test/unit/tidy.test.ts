import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAILURE_CODES } from '@drayage/core';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const FILE_LINES_MAX = 300;
const ARCHITECTURE_LINES_MAX = 240;

/** Which package may import which: the picture of the house. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  exchange: ['core'],
  store: ['core'],
  registry: ['core'],
  swarm: ['core', 'exchange'],
  dashboard: ['core'],
  agent: ['core', 'store', 'registry', 'swarm', 'dashboard'],
};

const files = listFiles().filter((path) => path !== '' && existsSync(join(ROOT, path)));
const sources = files.filter((path) => path.endsWith('.ts'));
const packages = [...new Set(files.map((path) => /^packages\/([^/]+)\/package\.json$/.exec(path)?.[1] ?? ''))].filter(
  (name) => name !== '',
);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

test('a package depends only on the packages that the picture lets it', () => {
  for (const name of packages) {
    const manifest = JSON.parse(read(`packages/${name}/package.json`));
    const own = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
      .filter((dependency) => dependency.startsWith('@drayage/'))
      .map((dependency) => dependency.replace('@drayage/', ''));
    expect(Object.keys(ARROWS)).toContain(name);
    expect(ARROWS[name], `what ${name} may depend on`).toEqual(expect.arrayContaining(own));
  }
});

test('no file is longer than a reader can hold', () => {
  const long = sources.filter((path) => read(path).split('\n').length - 1 > FILE_LINES_MAX);
  expect(long).toEqual([]);
});

test('nothing is typed any, and nothing is re-exported wholesale', () => {
  const loose = sources.filter((path) =>
    /[:<(|&]\s*any\b(?!['\w])|\bas any\b|^export \*/m.test(withoutText(read(path))),
  );
  expect(loose).toEqual([]);
});

test('ARCHITECTURE.md names every file of every package, and stays short', () => {
  const text = read('ARCHITECTURE.md');
  const unnamed = sources.filter((path) => {
    const [, inside] = /^packages\/[^/]+\/src\/(.+)$/.exec(path) ?? [];
    return inside !== undefined && !inside.endsWith('.test.ts') && !text.includes(inside.split('/').at(-1) ?? inside);
  });
  expect(unnamed).toEqual([]);
  expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(ARCHITECTURE_LINES_MAX);
});

test('README says what to do about every failure', () => {
  const text = read('README.md');
  expect(FAILURE_CODES.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
});

/** The source without its comments and strings, which may say anything. */
function withoutText(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$|'[^'\n]*'|`[^`]*`/gm, '');
}

/** What git knows or would take; without git, whatever lies here. */
function listFiles(): readonly string[] {
  try {
    const args = ['ls-files', '--cached', '--others', '--exclude-standard'];
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n');
  } catch {
    const all = readdirSync(ROOT, { recursive: true, encoding: 'utf8' });
    return all.filter((path) => !/(?:^|\/)(?:node_modules|\.git)(?:\/|$)/.test(path));
  }
}
