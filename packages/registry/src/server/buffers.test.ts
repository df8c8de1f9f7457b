import { expect, test } from 'vitest';
import { bufferPool } from './buffers.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

test('one stream has three large buffers at most, and waits for its own', async () => {
  const pool = bufferPool();
  using lease = pool.lease();
  const [first] = [await lease.take(never), await lease.take(never), await lease.take(never)];
  const waiting = lease.take(never);
  expect(pool.bytes()).toBe(3 * MIB);
  lease.give(first);
  expect(await waiting).toBe(first);
});

test('five hundred streams share less than a hundred mebibytes, and none is left without', async () => {
  const pool = bufferPool();
  const leases = Array.from({ length: 500 }, () => pool.lease());
  const held = await Promise.all(leases.map(async (lease) => ({ lease, buffer: await lease.take(never) })));
  for (const { lease } of held) lease.take(AbortSignal.timeout(5)).catch(() => undefined);
  expect(pool.bytes()).toBeLessThanOrEqual(96 * MIB);
  for (const { lease, buffer } of held) {
    lease.give(buffer);
    lease[Symbol.dispose]();
  }
});

test('a full pool serves those who wait in turn, also when one of them gives up', async () => {
  const pool = bufferPool(MIB);
  using holder = pool.lease();
  const buffer = await holder.take(never);
  const [quitter, patient] = [pool.lease(), pool.lease()];
  const stop = new AbortController();
  const quitting = quitter.take(stop.signal);
  const waiting = patient.take(never);
  stop.abort();
  await expect(quitting).rejects.toThrow();
  holder.give(buffer);
  expect(await waiting).toBe(buffer);
});

test('buffers that a broken stream still had in use are never handed out again', async () => {
  const pool = bufferPool(MIB);
  const broken = pool.lease();
  const lost = await broken.take(never);
  using next = pool.lease();
  const waiting = next.take(never);
  broken[Symbol.dispose]();
  broken.give(lost);
  expect(await waiting).not.toBe(lost);
  expect(pool.bytes()).toBe(MIB);
});
