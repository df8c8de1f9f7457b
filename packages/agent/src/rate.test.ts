import { type Digest, sha256 } from '@drayage/core';
import type { Origins } from '@drayage/registry';
import { expect, test } from 'vitest';
import { fakeRepository } from './fake-admin.ts';
import { limited } from './rate.ts';

const digest: Digest = sha256(Buffer.alloc(0));

function originsOf(chunks: number): Origins {
  const repository = fakeRepository({
    async *read() {
      for (let sent = 0; sent < chunks; sent += 1) yield Buffer.alloc(64 * 1024);
    },
  });
  return { has: () => true, repository: () => repository, status: () => [], [Symbol.asyncDispose]: async () => {} };
}

test('all reads together take no more than the rate', async () => {
  const origins = limited(originsOf(8), 4 * 1024 * 1024, Date.now);
  const signal = new AbortController().signal;
  const startedAt = performance.now();
  let bytes = 0;
  const readers = [1, 2, 3, 4].map(async () => {
    const repository = origins.repository('one.test', 'a', { kind: 'anonymous' });
    for await (const chunk of repository.read(digest, { start: 0, end: 8 * 64 * 1024 }, signal)) bytes += chunk.length;
  });
  await Promise.all(readers);
  // 2 MiB at 4 MiB/s, less the first quarter of a second, which is free.
  expect(bytes).toBe(2 * 1024 * 1024);
  expect(performance.now() - startedAt).toBeGreaterThan(240);
});

test('a reader that waits for its turn can be called off', async () => {
  const origins = limited(originsOf(1000), 64 * 1024, Date.now);
  const calledOff = new AbortController();
  const repository = origins.repository('one.test', 'a', { kind: 'anonymous' });
  const reading = (async () => {
    for await (const _ of repository.read(digest, { start: 0, end: 1 }, calledOff.signal)) calledOff.abort();
  })();
  await expect(reading).rejects.toThrow('abort');
});
