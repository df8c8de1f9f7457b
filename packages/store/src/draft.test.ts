import { randomBytes } from 'node:crypto';
import { isFailure, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { flip, never, SIZE, scene, write } from './fake-folder.ts';
import { layoutOf } from './layout.ts';

test('a draft that is taken up again still knows what came from the origin, and what rests on the word of members', async () => {
  const { open } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  {
    await using store = await open();
    await using draft = await store.draft(digest, SIZE);
    await write(draft, bytes, [0]);
    await write(draft, bytes, [1], 'peer');
  }
  await using store = await open();
  await using draft = await store.draft(digest, SIZE);
  await using reader = draft?.follow();
  expect(await reader?.read(Buffer.alloc(10), 0, never)).toBe(10);
  const held = reader?.read(Buffer.alloc(10), 262_144, never);
  expect(draft?.waiting().map(({ piece }) => piece)).toEqual([1]);
  await write(draft, bytes, [2, 3, 4], 'peer');
  expect(await draft?.seal(never)).toBe(true);
  expect(await held).toBe(10);
});

test('pieces of a draft that changed while nobody looked are fetched again', async () => {
  const { open, root } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  {
    await using store = await open();
    await using draft = await store.draft(digest, SIZE);
    await write(draft, bytes, [0, 1, 2]);
  }
  await flip(layoutOf(root).draft(digest).data, 300_000);
  await using store = await open();
  await using draft = await store.draft(digest, SIZE);
  expect([0, 1, 2].map((piece) => draft?.has(piece))).toEqual([true, false, true]);
});

test('a draft that is taken up while it is let go is one draft still, and knows all that came', async () => {
  const { open } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  await using store = await open();
  const first = await store.draft(digest, SIZE);
  await write(first, bytes, [0, 3]);
  const letGo = first?.[Symbol.asyncDispose]();
  await using second = await store.draft(digest, SIZE);
  await letGo;
  expect([0, 1, 2, 3, 4].map((piece) => second?.has(piece))).toEqual([true, false, false, true, false]);
  expect(store.status()).toMatchObject({ drafts: 1 });
});

test('a draft that changes under its process is not the blob, and only what changed is fetched again', async () => {
  const { open, root, happenings } = await scene();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  await using store = await open();
  await using draft = await store.draft(digest, SIZE);
  await write(draft, bytes, [1, 2, 3, 4]);
  await flip(layoutOf(root).draft(digest).data, 700_000);
  await write(draft, bytes, [0]);
  expect(await draft?.seal(never)).toBe(false);
  expect([0, 1, 2, 3, 4].map((piece) => draft?.has(piece))).toEqual([true, true, false, true, true]);
  expect(happenings).toContainEqual(expect.objectContaining({ kind: 'corrupt', where: 'disk' }));
  await write(draft, bytes, [2]);
  expect(await draft?.seal(never)).toBe(true);
});

test('a reader is not given bytes that prove wrong while they are read', async () => {
  const { open } = await scene();
  const bytes = randomBytes(SIZE);
  await using store = await open();
  await using draft = await store.draft(sha256(bytes), SIZE);
  await write(draft, randomBytes(SIZE), [0]);
  await using reader = draft?.follow();
  const read = expect(reader?.read(Buffer.alloc(10), 0, never)).rejects.toSatisfy((error) =>
    isFailure(error, 'blob_corrupt'),
  );
  await draft?.drop([0]);
  await read;
});
