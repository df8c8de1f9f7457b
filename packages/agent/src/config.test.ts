import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Flag, readArguments } from './arguments.ts';
import { type Config, readConfig } from './config.ts';
import { CONFIG_FLAG, OPTIONS } from './options.ts';
import { idleOptions } from './swarm-options.ts';

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
    swarmListen: [{ host: '0.0.0.0', port: 5052 }],
    linkListen: { host: '0.0.0.0', port: 5053 },
    advertise: undefined,
    swarmKeyFile: undefined,
    join: [],
    zone: undefined,
    uploadRate: undefined,
    downloadRate: undefined,
    proxyListen: undefined,
    proxyOthers: 'tunnel',
  });
  expect(idleOptions(config)).toEqual([]);
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

test('what is said of other hosts is read from every source, files beside the file that names them', async () => {
  const path = file(
    'swarmKeyFile: swarm.key\njoin: [seed1, "dns:drayage.default.svc:6052"]\nzone: rack-12\nuploadRate: 10MB/s\n',
  );
  const words = ['--config', path, '--swarm-listen', ':6052', '--swarm-listen', '[::1]:6052', '--link-listen=:6053'];
  const config = await read(words, { DRAYAGE_ADVERTISE: '[fd00::5]', DRAYAGE_DOWNLOAD_RATE: '1GiB/s' });
  expect(config).toMatchObject({
    swarmListen: [
      { host: '0.0.0.0', port: 6052 },
      { host: '::1', port: 6052 },
    ],
    linkListen: { host: '0.0.0.0', port: 6053 },
    advertise: 'fd00::5',
    swarmKeyFile: join(folder, 'swarm.key'),
    join: [
      { kind: 'host', at: { host: 'seed1', port: 5052 } },
      { kind: 'dns', at: { host: 'drayage.default.svc', port: 6052 } },
    ],
    zone: 'rack-12',
    uploadRate: 10e6,
    downloadRate: 2 ** 30,
  });
  expect(idleOptions(config)).toEqual([]);
});

test('what is said of other hosts without a key is named, for it does nothing', async () => {
  const config = await read(['--join', 'mdns', '--zone', 'a', '--link-listen', ':1', '--swarm-listen', '0.0.0.0:5052']);
  expect(idleOptions(config)).toEqual(['--link-listen', '--join', '--zone']);
});

test('every fault of what is said of other hosts is told', async () => {
  const words = ['--advertise', '10.0.0.5:5052', '--join', 'one two', '--zone', 'a b', '--upload-rate', '1KiB/s'];
  const faults = await faultsOf(read(words, { DRAYAGE_SWARM_KEY_FILE: '', DRAYAGE_LINK_LISTEN: '5053' }));
  expect(faults).toEqual([
    'DRAYAGE_LINK_LISTEN: not an address such as 127.0.0.1:5050',
    '--advertise: not a host such as 10.0.0.5 or node1.example.com',
    '--join: not HOST[:PORT], dns:NAME[:PORT], a URL, or mdns',
    '--zone: not a zone such as rack-12: at most 64 letters, digits, dots, dashes, underscores',
    '--upload-rate: must be at least 64KiB/s',
  ]);
  expect(await faultsOf(read(['--advertise', '0.0.0.0']))).toEqual([
    '--advertise: nobody can dial every address; name one',
  ]);
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

test.each(['0.0.0.0:5054', ':5054', '[::]:5054', '10.0.0.5:5054', 'proxy.example.com:5054'])(
  'a proxy on %s is refused: it would be open to others',
  async (address) => {
    const faults = await faultsOf(read(['--proxy-listen', address]));
    expect(faults).toEqual([expect.stringContaining('--proxy-listen: must be a loopback address')]);
  },
);

test('the proxy is told where it listens and whom it answers for', async () => {
  const path = file('proxyOthers: refuse\norigins:\n  docker.io: { proxy: true }\n  quay.io: { proxy: false }\n');
  const config = await read(['--config', path, '--proxy-listen', '[::1]:5054']);
  expect(config).toMatchObject({ proxyListen: { host: '::1', port: 5054 }, proxyOthers: 'refuse' });
  const proxied = config.origins.map(({ name, isProxied }) => [name, isProxied]);
  expect(Object.fromEntries(proxied)).toMatchObject({ 'docker.io': true, 'quay.io': false, 'ghcr.io': undefined });
  expect(await faultsOf(read(['--config', file('origins:\n  quay.io: { proxy: maybe }\n')]))).toEqual([
    expect.stringContaining('origins.quay.io.proxy: must be true or false'),
  ]);
});
