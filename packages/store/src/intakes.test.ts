import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { openStore } from './open-store.ts';

const MIB = 1024 * 1024;

async function scene(quotaBytes: number) {
  const root = await mkdtemp(join(tmpdir(), 'drayage-store-'));
  const sealed: string[] = [];
  const open = () =>
    openStore({ root, quotaBytes, report: (told) => told.kind === 'sealed' && sealed.push(told.digest) });
  return { open, sealed, left: () => readdir(join(root, 'drafts')), root };
}

test('an intake that outgrows the quota ends without a word, and leaves nothing behind', async () => {
  const { open, left } = await scene(2 * MIB);
  await using store = await open();
  await using intake = await store.intake();
  const bytes = randomBytes(4 * MIB);
  await intake?.append(bytes.subarray(0, MIB));
  expect(await left()).toHaveLength(1);
  await intake?.append(bytes.subarray(MIB));
  expect(intake?.bytes).toBeUndefined();
  expect(await intake?.seal(sha256(bytes))).toBe('lost');
  expect(await left()).toEqual([]);
  expect(store.list()).toEqual([]);
});

test('what is coming in counts against the quota, and makes room for itself', async () => {
  const { open } = await scene(3 * MIB);
  await using store = await open();
  const old = randomBytes(MIB);
  await store.put(sha256(old), old);
  await using intake = await store.intake();
  const bytes = randomBytes(2.5 * MIB);
  await intake?.append(bytes);
  expect(await intake?.seal(sha256(bytes))).toBe('sealed');
  expect(store.list().map(({ digest }) => digest)).toEqual([sha256(bytes)]);
});

test('a blob is told of once, however often it comes in', async () => {
  const { open, sealed } = await scene(100 * MIB);
  await using store = await open();
  const bytes = randomBytes(MIB + 1);
  for (let time = 0; time < 2; time++) {
    await using intake = await store.intake();
    await intake?.append(bytes);
    expect(await intake?.seal(sha256(bytes))).toBe('sealed');
  }
  expect(sealed).toEqual([sha256(bytes)]);
});

test('what an earlier process was taking in is gone at the next start', async () => {
  const { open, left, root } = await scene(100 * MIB);
  await (await open())[Symbol.asyncDispose]();
  await writeFile(join(root, 'drafts', 'intake-0'), randomBytes(10));
  await using store = await open();
  expect(await left()).toEqual([]);
  await using intake = await store.intake();
  expect(intake).toBeDefined();
});

test('there is a bound on how many come in at once', async () => {
  const { open } = await scene(1000 * MIB);
  await using store = await open();
  await using all = new AsyncDisposableStack();
  for (let count = 0; count < 32; count++) all.use(await store.intake());
  expect(await store.intake()).toBeUndefined();
  await all.disposeAsync();
  await using again = await store.intake();
  expect(again).toBeDefined();
});
