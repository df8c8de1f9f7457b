import { randomBytes } from 'node:crypto';
import { chmod, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, hexOf, isFailure, sha256 } from '@drayage/core';
import { readFrom } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { flip, never, SIZE, scene, write } from './fake-folder.ts';
import { layoutOf } from './layout.ts';

test('what was sealed and what was drafted is there after a restart', async () => {
  const { open } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  {
    await using store = await open();
    await store.put(sha256(bytes.subarray(0, 10)), bytes.subarray(0, 10));
    await using draft = await store.draft(digest, SIZE);
    await write(draft, bytes, [0, 3]);
  }
  await using store = await open();
  expect(store.sizeOf(sha256(bytes.subarray(0, 10)))).toBe(10);
  await using draft = await store.draft(digest, SIZE);
  expect([0, 1, 2, 3, 4].map((piece) => draft?.has(piece))).toEqual([true, false, false, true, false]);
  await write(draft, bytes, [1, 2, 4]);
  expect(await draft?.seal(never)).toBe(true);
  await using blob = await store.open(digest);
  expect(blob && (await readFrom(blob, 0)).equals(bytes)).toBe(true);
});

test.each<[string, (path: string) => Promise<void>]>([
  ['a flipped byte', (path) => flip(path, 700_000)],
  ['a cut file', (path) => truncate(path, 700_000)],
])('%s in a sealed blob is never served, and costs one piece', async (_, damage) => {
  const { open, root, happenings } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  await using store = await open();
  await store.put(digest, bytes);
  const path = layoutOf(root).blob(digest);
  await chmod(path, 0o600);
  await damage(path);
  await using blob = await store.open(digest);
  await expect(blob && readFrom(blob, 0)).rejects.toSatisfy((error) => isFailure(error, 'blob_lost'));
  expect(happenings).toContainEqual(expect.objectContaining({ kind: 'corrupt', where: 'disk' }));
  expect(await store.open(digest)).toBeUndefined();
  await using draft = await store.draft(digest, SIZE);
  expect(draft?.has(0)).toBe(true);
  expect(draft?.has(2)).toBe(false);
  await write(draft, bytes, [2, 3, 4]);
  expect(await draft?.seal(never)).toBe(true);
});

test('readers that find the same change at once agree on one draft', async () => {
  const { open, root, happenings } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  await using store = await open();
  await store.put(digest, bytes);
  const blobs = await Promise.all(Array.from({ length: 5 }, () => store.open(digest)));
  await flip(layoutOf(root).blob(digest), 700_000);
  const readAndDraft = async (blob: (typeof blobs)[number]) => {
    await using held = blob;
    await expect(held && readFrom(held, 0)).rejects.toSatisfy((error) => isFailure(error, 'blob_lost'));
    expect(await store.open(digest)).toBeUndefined();
    return store.draft(digest, SIZE);
  };
  const drafts = await Promise.all(blobs.map(readAndDraft));
  expect(drafts.map((draft) => [0, 1, 2, 3].map((piece) => draft?.has(piece)))).toEqual(
    Array.from({ length: 5 }, () => [true, true, false, true]),
  );
  expect(happenings.filter(({ kind }) => kind === 'corrupt')).toHaveLength(1);
  await write(drafts[0], bytes, [2, 4]);
  expect(await drafts[0]?.seal(never)).toBe(true);
  for (const draft of drafts) await draft?.[Symbol.asyncDispose]();
  await using again = await store.open(digest);
  expect(again && (await readFrom(again, 0)).equals(bytes)).toBe(true);
});

test('a blob without its hashes is hashed as a whole before it is served', async () => {
  const { open, root } = await scene();
  const bytes = randomBytes(SIZE);
  const [sound, torn] = [sha256(bytes), sha256(bytes.subarray(1))];
  {
    await using store = await open();
    await store.put(sound, bytes);
    await store.put(torn, bytes.subarray(1));
  }
  await rm(layoutOf(root).hashes(sound));
  await writeFile(layoutOf(root).hashes(torn), 'torn');
  await flip(layoutOf(root).blob(torn), 5);
  await using store = await open();
  await using blob = await store.open(sound);
  expect(blob && (await readFrom(blob, 0)).equals(bytes)).toBe(true);
  expect(await store.open(torn)).toBeUndefined();
});

test('verifying finds what changed and takes it away', async () => {
  const { open, root } = await scene();
  const bytes = randomBytes(SIZE);
  await using store = await open();
  await store.put(sha256(bytes), bytes);
  await flip(layoutOf(root).blob(sha256(bytes)), 9);
  expect(await store.verify(sha256(bytes), never)).toBe('corrupt');
  expect(store.list()).toEqual([]);
});

test('the least recently used blob goes first, and never one that is being read', async () => {
  const { open, happenings } = await scene();
  await using store = await open(1000);
  const [first, second, third, fourth] = [1, 2, 3, 4].map((fill) => Buffer.alloc(300, fill)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  for (const bytes of [first, second, third]) expect(await store.put(sha256(bytes), bytes)).toBe(true);
  await using held = await store.open(sha256(second));
  await (await store.open(sha256(first)))?.[Symbol.asyncDispose]();
  expect(await store.put(sha256(fourth), fourth)).toBe(true);
  expect(store.sizeOf(sha256(second))).toBe(300);
  expect(store.sizeOf(sha256(third))).toBeUndefined();
  expect(store.status().bytes).toBeLessThanOrEqual(1000);
  expect(happenings).toContainEqual({ kind: 'evicted', digest: sha256(third), size: 300 });
  expect(held && (await readFrom(held, 0))).toEqual(second);
});

test('a blob larger than the quota passes through and evicts nothing', async () => {
  const { open } = await scene();
  await using store = await open(1000);
  const small = Buffer.alloc(300);
  await store.put(sha256(small), small);
  expect(await store.draft(sha256(Buffer.from('large')), 5000)).toBeUndefined();
  expect(store.sizeOf(sha256(small))).toBe(300);
});

test('a second process is told who has the folder, and a dead one leaves no lock', async () => {
  const { open, root } = await scene();
  {
    await using _first = await open();
    await expect(open()).rejects.toThrow(`${root} is used by another agent (process ${process.pid})`);
  }
  await using _again = await open();
  expect((await stat(root)).mode & 0o777).toBe(0o700);
});

test('a folder that everyone may write to is refused', async () => {
  const { open, root } = await scene();
  await (await open())[Symbol.asyncDispose]();
  await chmod(root, 0o777);
  await expect(open()).rejects.toThrow('can be written by every user');
});

test('the catalog survives a restart, and a torn line costs itself only', async () => {
  const { open, root } = await scene();
  const digest: Digest = sha256(Buffer.from('x'));
  {
    await using store = await open();
    store.catalog.note(digest, { repository: 'docker.io/library/a', mediaType: 'text/plain', size: 5 });
    store.catalog.rememberTag('docker.io/library/a', 'latest', digest);
    store.catalog.rememberPublic('docker.io/library/a');
  }
  await writeFile(join(root, 'catalog'), '{"tag":"torn\n', { flag: 'a' });
  await using store = await open();
  expect(store.catalog.belongs(digest, 'docker.io/library/a')).toBe(true);
  expect(store.catalog.belongs(digest, 'docker.io/library/b')).toBe(false);
  expect(store.catalog.recallTag('docker.io/library/a', 'latest')?.digest).toBe(digest);
  expect(store.catalog.recallPublic('docker.io/library/a')).toBeGreaterThan(0);
});

test('the catalog file stays small however often a tag is resolved', async () => {
  const { open, root } = await scene();
  const digest = sha256(Buffer.from('x'));
  {
    await using store = await open();
    for (let time = 0; time < 25_000; time++) store.catalog.rememberTag('docker.io/library/a', 'latest', digest);
  }
  expect((await stat(join(root, 'catalog'))).size).toBeLessThan(1000);
  await using store = await open();
  expect(store.catalog.recallTag('docker.io/library/a', 'latest')?.digest).toBe(digest);
});

test('two repositories that disagree about a size leave it unknown', async () => {
  const { open } = await scene();
  await using store = await open();
  const digest = sha256(Buffer.from('x'));
  store.catalog.note(digest, { repository: 'a/liar', size: 7 });
  expect(store.catalog.facts(digest)?.size).toBe(7);
  store.catalog.note(digest, { repository: 'b/honest', size: 9 });
  store.catalog.note(digest, { repository: 'a/liar', size: 7 });
  expect(store.catalog.facts(digest)?.size).toBeUndefined();
});

test('nothing is left in the drafts once a blob is sealed', async () => {
  const { open, root } = await scene();
  await using store = await open();
  const bytes = randomBytes(SIZE);
  {
    await using draft = await store.draft(sha256(bytes), SIZE);
    await write(draft, bytes, [4, 3, 2, 1, 0]);
    await draft?.seal(never);
  }
  expect(await readdir(layoutOf(root).drafts)).toEqual([]);
  expect(await readdir(join(root, 'blobs/sha256'))).toEqual([hexOf(sha256(bytes)).slice(0, 2)]);
});
