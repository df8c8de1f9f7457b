import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, startFakeAdmin } from '../fake-admin.ts';

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/containerd/certs.d/_default/hosts.toml';
const CONTAINERD = '/etc/containerd/config.toml';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'drayage-root-'));
  for (const folder of ['docker', 'containerd', 'containers'])
    mkdirSync(join(root, 'etc', folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const setup = (runtime: string, ...words: readonly string[]) =>
  command(undefined, 'setup', runtime, '--root', root, ...(words.includes('--undo') ? words : ['--offline', ...words]));

test('the running agent says where it listens and what it serves', async () => {
  const addresses = { endpoint: ['0.0.0.0:6000'], admin: '', swarm: [], links: [] };
  await using admin = await startFakeAdmin({ status: () => ({ addresses, origins: [{ name: 'one.test:5000' }] }) });
  const { code } = await command(admin, 'setup', 'podman', '--root', root);
  expect(code).toBe(0);
  expect(read('/etc/containers/registries.conf.d/drayage.conf')).toContain('location = "127.0.0.1:6000/one.test_5000"');
});

test('without an answer of the agent nothing is changed, and the exit code is 3', async () => {
  const { code, err } = await command(undefined, 'setup', 'docker', '--root', root, '--admin', 'unix:/nowhere');
  expect([code, err]).toEqual([3, expect.stringContaining('start one')]);
  expect(readdirSync(join(root, 'etc/docker'))).toEqual([]);
});

test('a dry run shows the difference, and changes nothing', async () => {
  put(DAEMON, '{\n  "debug": true\n}\n');
  const { out } = await setup('docker', '--dry-run');
  expect(out).toContain('+  "registry-mirrors": ["http://127.0.0.1:5050"],\n   "debug": true');
  expect(readdirSync(join(root, 'etc/docker'))).toEqual(['daemon.json']);
});

test.each([
  ['a comment', '{\n  // ours\n  "debug": true\n}', 'line 2, column 3'],
  ['a comma too many', '{"debug": true,}', 'line 1, column 16'],
  ['a list', '[]', 'line 1, column 1'],
  ['nothing behind a colon', '{\r\n\t"debug":\r\n}', 'line 3, column 1'],
  ['more than one value', '{} {}', 'line 1, column 4'],
  ['a key twice', '{"debug": true, "debug": false}', 'stands twice'],
  ['mirrors that are none', '{"registry-mirrors": "x"}', 'no list of words'],
  ['too much nesting', `{"a":${'['.repeat(1000)}`, 'too much nesting'],
])('a daemon.json with %s is refused with the place, and left alone', async (_, text, place) => {
  put(DAEMON, text);
  const { code, err } = await setup('docker');
  expect([code, err]).toEqual([1, expect.stringContaining(place)]);
  expect(err).toContain(DAEMON);
  expect(read(DAEMON)).toBe(text);
  expect(readdirSync(join(root, 'etc/docker'))).toEqual(['daemon.json']);
});

test('a link stays a link, and what it leads to gets back its mode and its time', async () => {
  put('/srv/daemon.json', '{}');
  chmodSync(join(root, 'srv/daemon.json'), 0o440);
  const before = statSync(join(root, 'srv/daemon.json'));
  symlinkSync('/srv/daemon.json', join(root, DAEMON));
  expect((await setup('docker')).code).toBe(0);
  expect(readlinkSync(join(root, DAEMON))).toBe('/srv/daemon.json');
  expect(read('/srv/daemon.json')).toContain('5050');
  expect(statSync(join(root, 'srv/daemon.json')).mode).toBe(before.mode);
  expect((await setup('docker', '--undo')).code).toBe(0);
  const { mode, mtimeMs, ino } = statSync(join(root, 'srv/daemon.json'));
  expect([mode, mtimeMs, ino]).toEqual([before.mode, before.mtimeMs, before.ino]);
  expect(readdirSync(join(root, 'srv'))).toEqual(['daemon.json']);
});

test('a link never leads out of the root', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'drayage-outside-'));
  symlinkSync(`../../../../../../../../${outside}/daemon.json`, join(root, DAEMON));
  mkdirSync(join(root, outside), { recursive: true });
  expect((await setup('docker')).code).toBe(0);
  expect(readdirSync(outside)).toEqual([]);
  expect(readdirSync(join(root, outside))).toContain('daemon.json');
  rmSync(outside, { recursive: true });
});

test('a file with another name elsewhere is left to its owner', async () => {
  put(DAEMON, '{}');
  linkSync(join(root, DAEMON), join(root, 'other'));
  const { code, err } = await setup('docker');
  expect([code, err]).toEqual([1, expect.stringContaining('hard links')]);
  expect(lstatSync(join(root, DAEMON)).nlink).toBe(2);
});

test('what was changed after setup is not undone over: words first, then the file stays', async () => {
  put(DAEMON, '{"debug": true}');
  await setup('docker');
  const edited = read(DAEMON).replace('true', 'false');
  put(DAEMON, edited);
  expect((await setup('docker')).out).toContain('nothing to change');
  const refused = await setup('docker', '--undo');
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('take 127.0.0.1:5050 out of it')]);
  expect(read(DAEMON)).toBe(edited);
  put(DAEMON, '{"debug": false}');
  const undone = await setup('docker', '--undo');
  expect([undone.code, undone.out]).toEqual([0, expect.stringContaining('stays as it is')]);
  expect(read(DAEMON)).toBe('{"debug": false}');
  expect(readdirSync(join(root, 'etc/docker'))).toEqual(['daemon.json']);
});

test('another address of the agent takes the place of the old one, and undoing leads back before both', async () => {
  put(DAEMON, '{"debug": true}');
  await setup('docker');
  await setup('docker', '--listen', '127.0.0.1:6000');
  expect(JSON.parse(read(DAEMON))).toEqual({ 'registry-mirrors': ['http://127.0.0.1:6000'], debug: true });
  await setup('docker', '--undo');
  expect(read(DAEMON)).toBe('{"debug": true}');
  expect((await setup('docker', '--undo')).out).toContain('nothing in place');
});

test.each([
  ['before anything was moved', () => renameSync(join(root, `${DAEMON}.before-drayage`), join(root, DAEMON))],
  [
    'once the original had its second name',
    () => {
      rmSync(join(root, DAEMON));
      linkSync(join(root, `${DAEMON}.before-drayage`), join(root, DAEMON));
    },
  ],
])('after a crash %s, setup goes on and undoing leads back', async (_, crash) => {
  for (const next of [['--undo'], [], ['--undo']]) {
    put(DAEMON, '{"debug": true}');
    const before = statSync(join(root, DAEMON));
    await setup('docker');
    crash();
    expect((await setup('docker', ...next)).code).toBe(0);
    if (next.length === 0) expect((await setup('docker', '--undo')).code).toBe(0);
    const { ino, mtimeMs, nlink } = statSync(join(root, DAEMON));
    expect([read(DAEMON), ino, mtimeMs, nlink]).toEqual(['{"debug": true}', before.ino, before.mtimeMs, 1]);
    expect(readdirSync(join(root, 'etc/docker'))).toEqual(['daemon.json']);
  }
});

test('a backup that somebody changed is not put back', async () => {
  put(DAEMON, '{"debug": true}');
  await setup('docker');
  put(`${DAEMON}.before-drayage`, '{}');
  const { code, err } = await setup('docker', '--undo');
  expect([code, err]).toEqual([1, expect.stringContaining('before-drayage')]);
  expect(read(DAEMON)).toContain('5050');
});

test.each([
  [
    'one plugin per version',
    'version = 3\n',
    '[plugins."io.containerd.cri.v1.images".registry]\n  config_path = "/etc/containerd/certs.d"',
  ],
  ['the oldest form', 'oom_score = 0\n', '[plugins.cri.registry]\n  config_path = "/etc/containerd/certs.d"'],
  [
    'an empty value',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "" # none\n',
    '  config_path = "/etc/containerd/certs.d" # none',
  ],
])('config.toml gets its path: %s', async (_, text, expected) => {
  put(CONTAINERD, text);
  expect((await setup('containerd')).code).toBe(0);
  expect(read(CONTAINERD)).toContain(expected);
});

test.each([
  [
    'old mirrors',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ["x"]\n',
    'registry.mirrors',
  ],
  [
    'one inline table',
    'version = 2\nplugins = { "io.containerd.grpc.v1.cri" = { registry = {} } }\n',
    'only you can change',
  ],
  ['a fault', 'version = 2\n[plugins\n', 'line 2'],
])('config.toml with %s is refused with what to do, and left alone', async (_, text, words) => {
  put(CONTAINERD, text);
  const { code, err } = await setup('containerd');
  expect([code, err]).toEqual([1, expect.stringContaining(words)]);
  expect(read(CONTAINERD)).toBe(text);
  expect(readdirSync(join(root, 'etc/containerd'))).toEqual(['config.toml']);
});

test('an imported file that settles CRI is what counts', async () => {
  put(CONTAINERD, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n');
  put('/etc/containerd/conf.d/a.toml', 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "p"\n');
  expect((await setup('containerd')).err).toContain('/etc/containerd/conf.d/a.toml');
  put(
    '/etc/containerd/conf.d/b.toml',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/h"\n',
  );
  expect((await setup('containerd')).code).toBe(0);
  expect(read('/etc/h/_default/hosts.toml')).toContain('5050');
});

test('folders that are not mounted are asked for, where only a part of the host is', async () => {
  put(CONTAINERD, 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/srv/cri/hosts"\n');
  const { code, err } = await setup('containerd');
  expect([code, err]).toEqual([1, expect.stringContaining('mount it there too')]);
});

test('where CRI is off, as beside dockerd, config.toml stays', async () => {
  put(CONTAINERD, 'disabled_plugins = ["cri"]\n');
  const { code, out } = await setup('containerd');
  expect([code, out]).toEqual([0, expect.stringContaining('drayage setup docker')]);
  expect(read(CONTAINERD)).toBe('disabled_plugins = ["cri"]\n');
});

test('a list of folders that containerd 2 may not understand becomes the one that is used', async () => {
  const table = "[plugins.'io.containerd.cri.v1.images'.registry]\n";
  put(CONTAINERD, `version = 3\n${table}config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n`);
  expect((await setup('containerd')).code).toBe(0);
  expect(read(CONTAINERD)).toContain('config_path = "/etc/containerd/certs.d"\n');
  await setup('containerd', '--undo');
  put('/etc/containerd/certs.d/docker.io/hosts.toml', '');
  put('/etc/docker/certs.d/quay.io/ca.crt', '');
  expect((await setup('containerd')).err).toContain('in one folder');
});

test('hosts of others stay behind the agent, and a folder with certificates alone is told of', async () => {
  put(HOSTS, 'server = "https://x.test"\n\n# Ours.\n[host."https://m.test"]\n  capabilities = ["pull"]\n');
  put('/etc/containerd/certs.d/docker.io/ca.crt', '');
  const { out } = await setup('containerd');
  expect(out).toContain('pulls from there go round the agent');
  expect(read(HOSTS)).toMatch(
    /^server = "https:\/\/x.test"\n\n# Written[\s\S]*5050"\]\n[\s\S]*\n\n# Ours.\n\[host."https:\/\/m.test"\]\n/,
  );
});

test.each([
  ['/etc/default/docker', 'DOCKER_OPTS="--registry-mirror=https://m.test"', '--registry-mirror'],
  ['/lib/systemd/system/docker.service', 'ExecStart=/usr/bin/dockerd --config-file /srv/d.json', '/srv/d.json'],
])('a flag of dockerd in %s that collides is told of before anything is written', async (path, line, words) => {
  put(path, `[Service]\n${line}\n`);
  const { code, err } = await setup('docker');
  expect([code, err]).toEqual([1, expect.stringContaining(words)]);
});

test('what podman is told elsewhere stays there, and the old form is refused', async () => {
  put('/etc/containers/registries.conf', '[[registry]]\nprefix = "quay.io"\nlocation = "mirror.test/quay"\n');
  const { out } = await setup('podman');
  expect(out).toContain('/etc/containers/registries.conf settles quay.io itself');
  expect(read('/etc/containers/registries.conf.d/drayage.conf')).not.toContain('quay.io');
  await setup('podman', '--undo');
  put('/etc/containers/registries.conf', '[registries.search]\nregistries = ["docker.io"]\n');
  expect((await setup('podman')).err).toContain('old form');
});

test('a drayage.conf that somebody wrote by hand keeps what it says', async () => {
  const own =
    '# By hand.\n[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "127.0.0.1:5050/docker.io"\n';
  put('/etc/containers/registries.conf.d/drayage.conf', own);
  await setup('podman');
  expect(read('/etc/containers/registries.conf.d/drayage.conf')).toMatch(/^# By hand\.[\s\S]*5050\/ghcr\.io/);
  await setup('podman', '--undo');
  expect(read('/etc/containers/registries.conf.d/drayage.conf')).toBe(own);
});

test('a runtime that is not there, or that nobody knows, is told of', async () => {
  rmSync(join(root, 'etc/docker'), { recursive: true });
  expect(await setup('docker')).toMatchObject({ code: 1, err: expect.stringContaining('docker is not below') });
  expect(await setup('lxd')).toMatchObject({ code: 2, err: expect.stringContaining('docker, containerd or podman') });
});

test('programs read what was done as JSON', async () => {
  const { out } = await setup('containerd', '--json');
  const told = JSON.parse(out);
  expect(told).toMatchObject({ runtime: 'containerd', isDryRun: false });
  expect(told.changes.map(({ path, action }: { path: string; action: string }) => [path, action])).toEqual([
    [CONTAINERD, 'made'],
    [HOSTS, 'made'],
  ]);
});
