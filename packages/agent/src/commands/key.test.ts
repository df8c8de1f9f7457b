import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command } from '../fake-admin.ts';
import { readSwarmKeys } from '../swarm-keys.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-key-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a key goes into a file that only its owner may read, and the agent can use it', async () => {
  const path = join(folder, 'swarm.key');
  const { code, out, err } = await command(undefined, 'key', 'new', path);
  expect([code, out]).toEqual([0, `${path}\n`]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const [key] = await readSwarmKeys(path);
  expect(err).toContain(`swarm key ${key?.id}`);
  expect(err).toContain(`--swarm-key-file ${path} --join`);
});

test('a file that is there is never overwritten', async () => {
  const path = join(folder, 'swarm.key');
  await command(undefined, 'key', 'new', path);
  const before = readFileSync(path, 'utf8');
  const { code, err } = await command(undefined, 'key', 'new', path);
  expect([code, err]).toEqual([1, expect.stringContaining('is left as it is')]);
  expect(readFileSync(path, 'utf8')).toBe(before);
  const absent = await command(undefined, 'key', 'new', join(folder, 'no', 'such'));
  expect(absent).toMatchObject({ code: 1, err: expect.stringContaining('cannot be made') });
});

test('without a file the key alone is printed', async () => {
  const { out } = await command(undefined, 'key', 'new');
  expect(out).toMatch(/^drayage-swarm-key-v1:[\w-]{43}\n$/);
  expect((await command(undefined, 'key', 'new')).out).not.toBe(out);
});

test('programs get the file and the name of the key, and the key itself only when it lies nowhere else', async () => {
  const path = join(folder, 'swarm.key');
  const saved = JSON.parse((await command(undefined, 'key', 'new', path, '--json')).out);
  expect(saved).toEqual({ file: path, id: expect.stringMatching(/^[0-9a-f]{16}$/) });
  const printed = JSON.parse((await command(undefined, 'key', 'new', '--json')).out);
  expect(printed).toEqual({ file: null, id: expect.any(String), key: expect.stringMatching(/^drayage-swarm-key-v1:/) });
});

test('anything but a new key is wrong use', async () => {
  expect(await command(undefined, 'key')).toMatchObject({ code: 2, err: expect.stringContaining('new is missing') });
  expect(await command(undefined, 'key', 'old')).toMatchObject({ code: 2 });
  expect(await command(undefined, 'key', 'new', 'a', 'b')).toMatchObject({ code: 2 });
});
