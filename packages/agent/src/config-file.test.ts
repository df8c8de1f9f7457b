import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ConfigFile, readConfigFile } from './config-file.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-file-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function read(text: string): Promise<ConfigFile> {
  const path = join(folder, 'drayage.yaml');
  writeFileSync(path, text);
  const file = await readConfigFile(path, ['listen', 'logLevel']);
  return { ...file, faults: file.faults.map((fault) => fault.replace(`${path}: `, '')) };
}

test('everything that can be said of an origin is read', async () => {
  const { origins, faults } = await read(`
origins:
  registry.example.com:5000:
    url: https://registry.example.com:5000
    access: node
    proof: { ttl: 5m }
    credential: { username: puller, passwordFile: secret }
    realms: [auth.example.com]
    tags:
      - { pattern: "v*", ttl: 24h, staleFor: 7d }
      - { pattern: latest, ttl: 30s }
    repositories:
      - { pattern: "team/*", access: bypass, tags: [{ pattern: "*", ttl: 0 }] }
    push: true
    tls: { ca: /etc/ssl/own.pem }
`);
  expect(faults).toEqual([]);
  const week = 7 * 86_400_000;
  expect(origins).toEqual([
    {
      name: 'registry.example.com:5000',
      url: 'https://registry.example.com:5000',
      credential: { kind: 'password', username: 'puller', passwordFile: join(folder, 'secret') },
      realms: ['auth.example.com'],
      caFile: '/etc/ssl/own.pem',
      rules: {
        access: 'node',
        proof: { ttlMs: 300_000, staleForMs: 86_400_000 },
        push: true,
        tags: [
          { pattern: 'v*', ttlMs: 86_400_000, staleForMs: week },
          { pattern: 'latest', ttlMs: 30_000, staleForMs: week },
        ],
        repositories: [{ pattern: 'team/*', access: 'bypass', tags: [{ pattern: '*', ttlMs: 0, staleForMs: week }] }],
      },
    },
  ]);
});

test('every fault of an origin is told with its place', async () => {
  const { faults } = await read(`
origins:
  UPPER: {}
  one.test:
    url: ftp://one.test
    push: maybe
    credential: { helper: ../../bin/sh, username: x }
    tags: [{ pattern: "v*", ttl: soon }, { ttl: 1s }, 7]
    repositories: { pattern: x }
    colour: red
    proof: { ttl: 16m, staleFor: 2d }
`);
  expect(faults).toEqual([
    'origins.UPPER: not a registry name such as ghcr.io or registry.example.com:5000',
    'origins.one.test.colour: there is no such key',
    'origins.one.test.push: must be true or false',
    'origins.one.test.url: the URL must begin with https:// or http://',
    'origins.one.test.credential.helper: not the name of a credential helper',
    'origins.one.test.credential: must be one of dockerConfig, helper, or username with passwordFile',
    'origins.one.test.proof.ttl: must be at most 15m',
    'origins.one.test.proof.staleFor: must be at most 24h',
    'origins.one.test.tags[0].ttl: not a duration such as 30s, 5m, 24h or 7d',
    'origins.one.test.tags[1].pattern: is missing',
    'origins.one.test.tags[2]: must be a mapping',
    'origins.one.test.tags[2].pattern: is missing',
    'origins.one.test.repositories: must be a list of at most 256',
  ]);
});

test.each([
  ['no mapping', '- a\n- b\n', 'the file: must be a mapping'],
  ['no YAML', 'listen: [\n', 'the file: Flow sequence in block collection'],
  ['the same key twice', 'logLevel: info\nlogLevel: warn\n', 'the file: Map keys must be unique'],
  ['aliases, which can unfold without end', 'listen: &a [":1"]\nlogLevel: *a\n', 'the file: '],
  ['a nested value', 'logLevel: { is: info }\n', 'logLevel: must be a word, a number, or a list of them'],
  ['more than a file should hold', `# ${'x'.repeat(1024 * 1024)}\n`, 'the file: is larger than 1048576 bytes'],
])('a file with %s is refused', async (_, text, fault) => {
  const { faults } = await read(text);
  expect(faults[0]).toContain(fault);
});

test('an empty file says nothing, and a missing one is a fault', async () => {
  expect((await read('')).faults).toEqual([]);
  const { faults } = await readConfigFile(join(folder, 'absent.yaml'), []);
  expect(faults[0]).toContain('no such file');
});
