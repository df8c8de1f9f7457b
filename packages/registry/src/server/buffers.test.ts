import { expect, test } from 'vitest';
import { bufferPool } from './buffers.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

test('one stream has three large buffers at most, and waits for its own', async () => {
  const pool = bufferPool();
  using lease = pool.lease(never);
  const [first] = [await lease.take(), await lease.take(), await lease.take()];
  const waiting = lease.take();
  expect(pool.bytes()).toBe(3 * MIB);
  lease.give(first);
  expect(await waiting).toBe(first);
});

test('a thousand streams share 64 MiB, and none overtakes another that waits', async () => {
  const pool = bufferPool();
  const leases = Array.from({ length: 1000 }, () => pool.lease(never));
  const taken = leases.map(() => 0);
  const turns = leases.map(async (lease, index) => {
    for (let blocks = 0; blocks < 4; blocks += 1) {
      const buffer = await lease.take();
      taken[index] = blocks + 1;
      expect(pool.bytes()).toBeLessThanOrEqual(64 * MIB);
      if (blocks === 2) expect(Math.min(...taken)).toBeGreaterThan(0);
      setImmediate(() => lease.give(buffer));
    }
    await lease.returned();
    lease[Symbol.dispose]();
  });
  await Promise.all(turns);
});

test('a full pool serves those who wait in turn, also when one of them gives up', async () => {
  const pool = bufferPool(MIB);
  using holder = pool.lease(never);
  const buffer = await holder.take();
  const stop = new AbortController();
  const quitter = pool.lease(stop.signal);
  const patient = pool.lease(never);
  const quitting = quitter.take();
  const waiting = patient.take();
  stop.abort();
  await expect(quitting).rejects.toThrow();
  holder.give(buffer);
  expect(await waiting).toBe(buffer);
});

test('buffers that a broken stream still had in use are never handed out again', async () => {
  const pool = bufferPool(MIB);
  const broken = pool.lease(never);
  const lost = await broken.take();
  using next = pool.lease(never);
  const waiting = next.take();
  broken[Symbol.dispose]();
  broken.give(lost);
  expect(await waiting).not.toBe(lost);
  expect(pool.bytes()).toBe(MIB);
});
