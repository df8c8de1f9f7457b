import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
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

const check = () => checkRuntimes(root, '127.0.0.1:5050');

test('a runtime that points at the agent is good, by whatever name of this machine', async () => {
  put('usr/bin/dockerd');
  put('etc/docker/daemon.json', '{"registry-mirrors": ["http://localhost:5050"]}');
  put('usr/bin/podman');
  put('etc/containers/registries.conf.d/drayage.conf', 'location = "127.0.0.1:5050/docker.io"');
  put('usr/bin/containerd');
  put('etc/containerd/certs.d/_default/hosts.toml', '[host."http://[::1]:5050"]');
  expect((await check()).map(({ about, state }) => [about, state])).toEqual([
    ['docker', 'good'],
    ['containerd', 'good'],
    ['podman', 'good'],
  ]);
});

test.each([
  ['another port', 'location = "127.0.0.1:50501/docker.io"'],
  ['a comment', '  # location = "127.0.0.1:5050/docker.io"'],
  ['nothing', ''],
])('a runtime whose file holds %s gets the line to add', async (_, text) => {
  put('usr/bin/podman');
  put('etc/containers/registries.conf', text);
  const [finding] = await check();
  expect(finding?.state).toBe('warning');
  expect(finding?.advice).toContain('127.0.0.1:5050/docker.io');
});

test('a machine without a runtime is told so', async () => {
  expect((await check())[0]?.finding).toContain('neither docker, containerd nor podman');
});
