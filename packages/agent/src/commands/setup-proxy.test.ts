import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, startFakeAdmin } from '../fake-admin.ts';

const DAEMON = '/etc/docker/daemon.json';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'drayage-root-'));
  mkdirSync(join(root, 'etc/docker'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');

const PROXY = { address: '127.0.0.1:5054', certificate: 'an authority\n', places: ['ghcr.io', 'one.test:5000'] };
const DROP_IN = '/etc/systemd/system/docker.service.d/drayage-proxy.conf';
const TRUSTED = PROXY.places.map((place) => `/etc/docker/certs.d/${place}/drayage-proxy.crt`);

/** Sets docker up with the proxy of an agent that answers. */
async function withProxy(proxy: object | null, ...words: readonly string[]) {
  const addresses = { endpoint: ['127.0.0.1:5050'], admin: '', swarm: [], links: [] };
  await using admin = await startFakeAdmin({ status: () => ({ addresses, proxy, origins: [{ name: 'ghcr.io' }] }) });
  return await command(admin, 'setup', 'docker', '--proxy', '--root', root, ...words);
}

test('with the proxy, dockerd trusts its authority for each registry and goes out by it, until that is undone', async () => {
  put('/etc/docker/certs.d/ghcr.io/ca.crt', 'theirs');
  put('/etc/systemd/system/docker.service.d/limits.conf', '[Service]\nLimitNOFILE=1\n');
  const { out } = await withProxy(PROXY);
  expect(TRUSTED.map(read)).toEqual([PROXY.certificate, PROXY.certificate]);
  expect(read(DROP_IN)).toBe(
    '[Service]\nEnvironment="HTTP_PROXY=http://127.0.0.1:5054"\nEnvironment="HTTPS_PROXY=http://127.0.0.1:5054"\n',
  );
  expect(read(DAEMON)).toContain('"registry-mirrors": ["http://127.0.0.1:5050"]');
  expect(out).toContain('fails while no agent runs');
  const { code } = await command(undefined, 'setup', 'docker', '--undo', '--root', root);
  expect(code).toBe(0);
  expect(readdirSync(join(root, 'etc/docker'))).toEqual(['certs.d']);
  expect(readdirSync(join(root, 'etc/docker/certs.d'), { recursive: true })).toEqual(['ghcr.io', 'ghcr.io/ca.crt']);
  expect(readdirSync(join(root, 'etc/systemd/system/docker.service.d'))).toEqual(['limits.conf']);
});

test('what the proxy needs is shown by a dry run, and goes when it is not asked for again', async () => {
  const { out } = await withProxy(PROXY, '--dry-run');
  expect(out).toContain('+Environment="HTTPS_PROXY=http://127.0.0.1:5054"');
  expect(readdirSync(join(root, 'etc'))).not.toContain('systemd');
  await withProxy(PROXY);
  await command(undefined, 'setup', 'docker', '--offline', '--root', root);
  expect(existsSync(join(root, DROP_IN))).toBe(false);
  expect(read(DAEMON)).toContain('registry-mirrors');
});

test.each([
  ['a unit', '/etc/systemd/system/docker.service.d/http-proxy.conf', 'Environment="HTTPS_PROXY=http://u:p@other:3128"'],
  ['the defaults', '/etc/default/docker', 'export https_proxy="http://u:p@other:3128"'],
  ['daemon.json', DAEMON, '{"proxies": {"https-proxy": "http://u:p@other:3128"}}'],
  ['a client certificate', '/etc/docker/certs.d/ghcr.io/client.cert', 'x'],
])('%s that the proxy would not go along with is refused, and nothing is changed', async (_, path, text) => {
  put(path, text);
  const { code, err } = await withProxy(PROXY);
  expect([code, err]).toEqual([1, expect.stringContaining(path)]);
  expect(err).not.toContain('u:p@');
  expect(existsSync(join(root, DROP_IN))).toBe(false);
});

test('an agent without a proxy, and a runtime that needs none, are said so', async () => {
  mkdirSync(join(root, 'etc/containers'));
  const none = await withProxy(null);
  expect([none.code, none.err]).toEqual([1, expect.stringContaining('--proxy-listen')]);
  const podman = await command(undefined, 'setup', 'podman', '--proxy', '--offline', '--root', root);
  expect([podman.code, podman.err]).toEqual([2, expect.stringContaining('needs no proxy')]);
});
