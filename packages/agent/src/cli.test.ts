import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';

const MAIN = new URL('main.ts', import.meta.url).pathname;

let folder = '';
const started: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-cli-'));
});
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

function start(words: readonly string[], env = {}): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...words], { env: { PATH: '/usr/bin:/bin', HOME: folder, ...env } });
  started.push(child);
  return child;
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

const run = (...words: readonly string[]): Promise<Ended> => ended(start(words));

/** An agent on free ports, with a way to wait for its log lines. */
async function agent(...words: readonly string[]) {
  const options = [
    '--data',
    join(folder, 'data'),
    '--listen',
    '127.0.0.1:0',
    '--admin',
    `unix:${join(folder, 'admin')}`,
  ];
  const child = start(['agent', ...options, ...words]);
  const lines: string[] = [];
  const waiting: (() => void)[] = [];
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
    lines.push(line);
    for (const look of waiting.splice(0)) look();
  });
  const line = async (text: string): Promise<string> => {
    for (;;) {
      const at = lines.findIndex((candidate) => candidate.includes(text));
      if (at >= 0) return lines[at] ?? '';
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  await line('ready on');
  return { child, line, lines, end: ended(child), admin: `--admin=unix:${join(folder, 'admin')}` };
}

test('help lists the commands, and each command its options', async () => {
  const overview = await run('--help');
  expect(overview).toMatchObject({ code: 0, err: '' });
  expect(overview.out).toContain('pull REFERENCE');
  const columns = overview.out.split('\n').flatMap((line) => /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length ?? []);
  expect(new Set(columns).size).toBe(1);
  const help = await run('agent', '--help');
  expect(help.code).toBe(0);
  expect(help.out).toContain('--cache-bytes SIZE');
  expect(await run('help', 'agent')).toEqual(help);
  expect(await run('help')).toEqual(overview);
  expect(await run('help', 'agnet')).toMatchObject({ code: 2, err: expect.stringContaining('did you mean agent?') });
});

test('wrong use exits 2 and names what may have been meant', async () => {
  expect(await run()).toMatchObject({ code: 2, out: '' });
  expect((await run('statsu')).err).toContain('did you mean status?');
  expect(await run('statsu')).toMatchObject({ code: 2 });
  expect(await run('pull')).toMatchObject({ code: 2, err: expect.stringContaining('REFERENCE is missing') });
  expect(await run('rm', 'a', 'b')).toMatchObject({
    code: 2,
    err: expect.stringContaining('"b" is one word too many'),
  });
  expect(await run('status', '--admin', 'x')).toMatchObject({ code: 2 });
});

test('an agent with wrong options exits 2 with every fault, and opens nothing', async () => {
  const data = join(folder, 'data');
  const child = start(['agent', 'extra', '--data', data, '--log-level', 'loud', '--lsten=:1'], {
    DRAYAGE_ADMIN: 'nowhere',
  });
  const { code, err } = await ended(child);
  expect(code).toBe(2);
  for (const source of ['--log-level', '--lsten', 'DRAYAGE_ADMIN', '"extra" is'])
    expect(err).toContain(`drayage agent: ${source}`);
  expect(() => rmSync(data, { recursive: true })).toThrow('ENOENT');
});

test('a command exits 3 with a hint when no agent answers', async () => {
  const absent = `--admin=unix:${join(folder, 'absent')}`;
  for (const command of [
    ['status'],
    ['pulls'],
    ['pull', 'busybox'],
    ['blobs'],
    ['verify'],
    ['members'],
    ['explain', 'busybox'],
  ]) {
    expect(await run(...command, absent)).toMatchObject({ code: 3, err: expect.stringContaining('drayage agent') });
  }
  const { out } = await run('status', '--json', absent);
  expect(JSON.parse(out)).toMatchObject({ error: { code: 'agent_unreachable' } });
});

test('an agent answers its commands, ends on SIGTERM with 0, and starts again on the same folder', async () => {
  const first = await agent();
  const status = await run('status', '--json', first.admin);
  expect(JSON.parse(status.out)).toMatchObject({
    store: { blobs: 0, drafts: 0 },
    defaultOrigin: 'docker.io',
    identity: null,
    members: 0,
    addresses: {
      endpoint: expect.arrayContaining([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]),
      swarm: [],
      links: [],
    },
  });
  expect((await run('status', first.admin)).out).toMatch(/^drayage \d/);
  expect(await run('blobs', first.admin)).toMatchObject({ code: 0 });
  expect(await run('verify', first.admin)).toMatchObject({ code: 0, out: '0 sound, 0 corrupt, 0 B hashed\n' });
  expect(await run('rm', 'sha256:x', first.admin)).toMatchObject({ code: 1 });
  first.child.kill('SIGTERM');
  expect((await first.end).code).toBe(0);

  const second = await agent();
  second.child.kill('SIGINT');
  expect((await second.end).code).toBe(0);
});

test('what is said of other hosts without a key is warned of, for it does nothing', async () => {
  const { line } = await agent('--join', 'seed1', '--zone=rack-12');
  expect(await line('without --swarm-key-file')).toContain('these do nothing: --join, --zone');
});

test.each([
  ['is missing', undefined, 'cannot be read'],
  ['holds no key', 'hunter2', 'no swarm key file'],
])('a key file that %s exits 2 and says so before anything is made', async (_, content, fault) => {
  const path = join(folder, 'swarm.key');
  if (content !== undefined) writeFileSync(path, content);
  const data = join(folder, 'data');
  const { code, err } = await run('agent', '--data', data, '--listen=127.0.0.1:0', '--swarm-key-file', path);
  expect([code, err]).toEqual([2, expect.stringContaining(fault)]);
  expect(err).not.toContain('hunter2');
  expect(() => rmSync(data, { recursive: true })).toThrow('ENOENT');
});

test('a second agent on the same folder exits 1 with one line that says why', async () => {
  await agent();
  const { code, err } = await run(
    'agent',
    '--data',
    join(folder, 'data'),
    '--listen=127.0.0.1:0',
    '--admin=127.0.0.1:0',
  );
  expect(code).toBe(1);
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(err).toContain(join(folder, 'data'));
});

test.each(['listen', 'admin'])('a port in use for --%s exits 1 with one line that names it', async (option) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  const other = option === 'listen' ? 'admin' : 'listen';
  const ports = [`--${option}=127.0.0.1:${port}`, `--${other}=127.0.0.1:0`];
  const { code, err } = await run('agent', '--data', join(folder, 'data'), ...ports);
  taken.close();
  expect(code).toBe(1);
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(err).toContain(`127.0.0.1:${port}`);
});

test('SIGHUP takes over what can change, says what needs a restart, and keeps a faulty file out', async () => {
  const config = join(folder, 'drayage.yaml');
  writeFileSync(config, 'logLevel: info\n');
  const { child, line } = await agent('--config', config);
  writeFileSync(config, 'logLevel: debug\ncacheBytes: 1GiB\norigins: { one.test: { access: node } }\n');
  child.kill('SIGHUP');
  expect(await line('configuration read again')).toContain('a restart is needed for: cacheBytes, origins');
  writeFileSync(config, 'logLevel: loud\norigins: 7\n');
  child.kill('SIGHUP');
  const refused = await line('configuration kept as it was');
  expect(refused).toContain('logLevel: must be one of');
  expect(refused).toContain('origins: must be a mapping');
});
