import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Flag, readArguments } from './arguments.ts';
import { type Config, readConfig } from './config.ts';
import { CONFIG_FLAG, OPTIONS } from './options.ts';

const FLAGS: readonly Flag[] = [CONFIG_FLAG, ...Object.values(OPTIONS)].map(({ flag, value }) => ({
  flag,
  value,
  help: '',
}));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function read(words: readonly string[], env: Record<string, string> = {}): Promise<Config> {
  const defaults = { home: '/home/somebody', dataHome: undefined, isRoot: false };
  return readConfig({ arguments: readArguments(words, FLAGS), env, defaults });
}

function file(text: string): string {
  const path = join(folder, 'drayage.yaml');
  writeFileSync(path, text);
  return path;
}

async function faultsOf(config: Promise<Config>): Promise<readonly string[]> {
  const error = await config.then(
    () => new Error('nothing was wrong'),
    (reason: Error) => reason,
  );
  return error.message.split('\n');
}

test('with nothing said, the defaults hold', async () => {
  const config = await read([]);
  expect(config).toMatchObject({
    listen: [{ host: '127.0.0.1', port: 5050 }],
    admin: { host: '127.0.0.1', port: 5051 },
    data: '/home/somebody/.local/share/drayage',
    defaultOrigin: 'docker.io',
    cacheBytes: undefined,
    logLevel: 'info',
  });
  expect(config.origins.map(({ name }) => name)).toContain('registry.k8s.io');
  expect(config.origins[0]).toMatchObject({ name: 'docker.io', url: 'https://registry-1.docker.io' });
});

test('a flag wins over the environment, the environment over the file, the file over the default', async () => {
  const path = file('logLevel: error\ncacheBytes: 1GiB\nlisten: [":1", ":2"]\ndata: here\n');
  const config = await read(['--config', path, '--log-level=debug'], {
    DRAYAGE_LOG_LEVEL: 'warn',
    DRAYAGE_CACHE_BYTES: '2GiB',
  });
  expect(config.logLevel).toBe('debug');
  expect(config.cacheBytes).toBe(2 * 2 ** 30);
  expect(config.listen).toEqual([
    { host: '0.0.0.0', port: 1 },
    { host: '0.0.0.0', port: 2 },
  ]);
  expect(config.data).toBe(join(folder, 'here'));
});

test('every fault of every source is told at once, with where it stands', async () => {
  const path = file('logLevel: loud\nchacheBytes: 1\norigins:\n  ghcr.io: { access: everyone }\n');
  const words = [
    '--config',
    path,
    '--listen',
    'nowhere',
    '--amdin',
    'x',
    '--cache-bytes',
    '--default-origin',
    'no.such',
  ];
  const faults = await faultsOf(read(words, { DRAYAGE_ADMIN: 'unix:relative', DRAYAGE_LISTN: ':1' }));
  expect(faults).toEqual([
    '--amdin: there is no such option (did you mean --admin?)',
    '--cache-bytes: SIZE is missing',
    'DRAYAGE_LISTN: there is no such variable (did you mean DRAYAGE_LISTEN?)',
    `${path}: chacheBytes: there is no such key (did you mean cacheBytes?)`,
    `${path}: origins.ghcr.io.access: must be one of public, proof, node, bypass`,
    '--listen: not an address such as 127.0.0.1:5050',
    'DRAYAGE_ADMIN: unix: needs an absolute path',
    `${path}: logLevel: must be one of error, warn, info, debug`,
    '--default-origin: no.such is not among the origins; add it with --origin NAME=URL',
  ]);
});

test('a wrong value is told even where a better source hides it', async () => {
  const faults = await faultsOf(read(['--log-level', 'info'], { DRAYAGE_LOG_LEVEL: 'loud' }));
  expect(faults).toEqual(['DRAYAGE_LOG_LEVEL: must be one of error, warn, info, debug']);
});

test('variables that Kubernetes makes for a Service of this name are no faults', async () => {
  const env = {
    DRAYAGE_SERVICE_HOST: '10.0.0.1',
    DRAYAGE_SERVICE_PORT_REGISTRY: '5050',
    DRAYAGE_PORT: 'tcp://10.0.0.1:5050',
    DRAYAGE_PORT_5050_TCP_ADDR: '10.0.0.1',
    DRAYAGE_ADMIN_SERVICE_HOST: '10.0.0.2',
  };
  await expect(read([], env)).resolves.toBeDefined();
});

test('an origin by flag joins the known ones, and keeps what the file says of it', async () => {
  const path = file('origins: { docker.io: { access: node } }\n');
  const { origins } = await read(['--config', path, '--origin', 'docker.io=http://127.0.0.1:5000'], {
    DRAYAGE_ORIGIN: 'one.test=https://one.test',
  });
  expect(origins.find(({ name }) => name === 'docker.io')).toMatchObject({
    url: 'http://127.0.0.1:5000',
    rules: { access: 'node' },
  });
  expect(origins.some(({ name }) => name === 'ghcr.io')).toBe(true);
});

test('a URL with a credential is refused without repeating it', async () => {
  const faults = await faultsOf(read(['--origin', 'one.test=https://me:hunter2@one.test']));
  expect(faults.join()).toContain('must hold no credential');
  expect(faults.join()).not.toContain('hunter2');
});
