import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MemberStatus } from '@drayage/swarm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readArguments } from '../arguments.ts';
import { type Config, readConfig } from '../config.ts';
import { aMember } from '../fake-swarm.ts';
import { OPTIONS } from '../options.ts';
import { makeSwarmKey } from '../swarm-keys.ts';
import { checkSwarm, type Seen } from './swarm.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-swarm-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function config(...words: readonly string[]): Promise<Config> {
  const given = readArguments(words, Object.values(OPTIONS));
  return readConfig({ arguments: given, env: {}, defaults: { home: '/', dataHome: undefined, isRoot: false } });
}

function keyFile(text = makeSwarmKey().key): string {
  const path = join(folder, 'swarm.key');
  writeFileSync(path, text);
  return path;
}

function seenWith(members: readonly MemberStatus[], links: readonly string[] = []): Seen {
  const addresses = { endpoint: [], admin: '', swarm: [], links };
  return { status: { identity: 'me', addresses }, members };
}

test('a host without a key is told so, and that options for a swarm do nothing', async () => {
  const alone = { status: { ...seenWith([]).status, identity: null }, members: [] };
  expect(await checkSwarm(await config(), alone)).toMatchObject([
    { state: 'good', finding: expect.stringContaining('none') },
  ]);
  expect(await checkSwarm(await config('--join=seed'), alone)).toMatchObject([
    {
      state: 'warning',
      finding: expect.stringContaining('--join'),
      advice: expect.stringContaining('drayage key new'),
    },
  ]);
});

test('a key that cannot be read is bad, whether an agent runs or not', async () => {
  const broken = await config('--swarm-key-file', keyFile('hunter2'));
  for (const seen of [undefined, seenWith([])]) {
    const findings = await checkSwarm(broken, seen);
    expect(findings[0]).toMatchObject({ about: 'swarm key', state: 'bad' });
    expect(JSON.stringify(findings)).not.toContain('hunter2');
  }
});

test('nobody in touch is a warning only where somebody was named', async () => {
  const file = keyFile();
  expect((await checkSwarm(await config('--swarm-key-file', file), seenWith([]))).map(({ state }) => state)).toEqual([
    'good',
    'good',
  ]);
  const named = await checkSwarm(await config('--swarm-key-file', file, '--join=seed'), seenWith([]));
  expect(named.at(-1)).toMatchObject({ state: 'warning', advice: expect.stringContaining('TCP 5052') });
});

test('ports that do not open and members that lied are named', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const quarantine = { until: 0, why: 'lie' } as const;
  const open = aMember({ member: 'open', addresses: [`127.0.0.1:${port}`], quarantine });
  const seen = seenWith([open, aMember({ member: 'shut', addresses: ['127.0.0.1:1'] })], [`0.0.0.0:${port}`]);
  const findings = await checkSwarm(await config('--swarm-key-file', keyFile()), seen);
  server.close();
  expect(findings.filter(({ state }) => state !== 'good').map(({ finding }) => finding)).toEqual([
    'open sent wrong bytes and is left alone',
    'a member cannot be reached at 127.0.0.1:1',
  ]);
});
