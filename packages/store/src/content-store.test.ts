import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type Happening, hexOf, isFailure, sha256 } from '@drayage/core';
import { readFrom } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { openStore, type Store } from './open-store.ts';

interface Scene extends AsyncDisposable {
  readonly store: Store;
  readonly happenings: readonly Happening[];
  readonly write: (digest: Digest, bytes: Buffer) => Promise<void>;
  readonly remove: (digest: Digest) => Promise<void>;
}

async function scene(): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'content-'));
  const content = join(folder, 'content');
  await mkdir(join(content, 'blobs', 'sha256'), { recursive: true });
  const happenings: Happening[] = [];
  const store = await openStore({
    root: join(folder, 'store'),
    quotaBytes: 1e9,
    contentFolder: content,
    report: (happening) => void happenings.push(happening),
  });
  const pathOf = (digest: Digest) => join(content, 'blobs', 'sha256', hexOf(digest));
  return {
    store,
    happenings,
    write: (digest, bytes) => writeFile(pathOf(digest), bytes),
    remove: (digest) => rm(pathOf(digest)),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

test("a blob of the runtime's own store is served from there, and hashed like ours", async () => {
  await using on = await scene();
  const bytes = randomBytes(300_000);
  const digest = sha256(bytes);
  await on.write(digest, bytes);
  expect(on.store.sizeOf(digest)).toBe(300_000);
  expect((await on.store.blockHashes(digest))?.length).toBe(3 * 32);
  expect(await on.store.listContent()).toEqual([digest]);
  await using blob = await on.store.open(digest);
  expect(blob && (await readFrom(blob, 1000)).equals(bytes.subarray(1000))).toBe(true);
  expect(on.store.list()).toEqual([]);
});

test('bytes that are not what their name says are not believed', async () => {
  await using on = await scene();
  const digest = sha256(randomBytes(10));
  await on.write(digest, randomBytes(10));
  expect(await on.store.open(digest)).toBeUndefined();
  expect(on.happenings).toMatchObject([{ kind: 'corrupt', where: 'disk', digest }]);
});

test('a blob that the runtime changed or removed is not served any more', async () => {
  await using on = await scene();
  const bytes = randomBytes(200_000);
  const digest = sha256(bytes);
  await on.write(digest, bytes);
  await using blob = await on.store.open(digest);
  const other = Buffer.from(bytes);
  other[150_000] = (other[150_000] ?? 0) ^ 1;
  await on.write(digest, other);
  await expect(blob && readFrom(blob, 0)).rejects.toSatisfy((error) => isFailure(error, 'blob_lost'));
  expect(await on.store.open(digest)).toBeUndefined();
  await on.remove(digest);
  expect(on.store.sizeOf(digest)).toBeUndefined();
  expect(await on.store.open(digest)).toBeUndefined();
});
