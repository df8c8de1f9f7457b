import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hostFiles } from '../setup/host-files.ts';
import { checkRuntimes } from './runtimes.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'drayage-root-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text = ''): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const target = { endpoint: '127.0.0.1:5050', origins: ['docker.io'] };
const check = () => checkRuntimes(hostFiles(root), target);

test('a runtime that points at the agent is good, by whatever name of this machine', async () => {
  put('usr/bin/dockerd');
  put('etc/docker/daemon.json', '{"registry-mirrors": ["http://localhost:5050"]}');
  put('usr/bin/podman');
  put(
    'etc/containers/registries.conf.d/drayage.conf',
    '[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "127.0.0.1:5050/docker.io"\n',
  );
  put('usr/bin/containerd');
  put(
    'etc/containerd/config.toml',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/hosts.d"\n',
  );
  put('etc/hosts.d/_default/hosts.toml', '[host."http://[::1]:5050"]');
  const findings = await check();
  expect(findings.filter(({ state }) => state !== 'good')).toEqual([]);
  const configured = findings.filter(({ finding }) => finding === 'its configuration points at the agent');
  expect(configured.map(({ about }) => about)).toEqual(['docker', 'containerd', 'podman']);
});

test.each([
  ['another port', '{"registry-mirrors": ["http://localhost:50501"]}', 'it names localhost:50501'],
  ['nothing', '', 'it does not pull through the agent'],
  ['no JSON', '{"registry-mirrors": [}', 'line 1, column 23'],
])('a runtime whose file holds %s is told of, with what to do', async (_, text, words) => {
  put('usr/bin/dockerd');
  put('etc/docker/daemon.json', text);
  const finding = (await check()).at(-1);
  expect(finding).toMatchObject({ state: 'warning', finding: expect.stringContaining(words) });
  expect(finding?.advice).toContain('drayage');
});

test('a folder of a registry that hides what holds for all is told of', async () => {
  put(
    'etc/containerd/config.toml',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
  );
  put('etc/containerd/certs.d/_default/hosts.toml', '[host."http://127.0.0.1:5050"]');
  put('etc/containerd/certs.d/docker.io/ca.crt');
  expect(await check()).toContainEqual(
    expect.objectContaining({
      state: 'warning',
      finding: expect.stringContaining('pulls from there go round the agent'),
    }),
  );
});

test('a machine without a runtime is told so', async () => {
  expect((await check())[0]?.finding).toContain('neither docker, containerd nor podman');
});
