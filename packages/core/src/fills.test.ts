import { randomBytes } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { sha256 } from './digest.ts';
import { fakeRemote } from './fake-remote.ts';
import type { Fill } from './fill.ts';
import { startFills } from './fills.ts';
import { memoryStore } from './memory-store.ts';
import { pieceSpan, planPieces } from './pieces.ts';
import { readFrom } from './store-contract.ts';

const SIZE = 2_000_000;
const never: AbortSignal = new AbortController().signal;

/** A blob that is filled piece by piece from where the test says, each when it says so. */
async function scene(heldPieces = 0, dripEveryMs?: number) {
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  const store = memoryStore();
  const draft = await store.draft(digest, SIZE);
  if (!draft) throw new Error('no draft');
  const chunkOf = (piece: number) => {
    const { start, end } = pieceSpan(draft.plan, piece);
    return bytes.subarray(start, end);
  };
  for (let piece = 0; piece < heldPieces; piece++) await draft.write(piece, [chunkOf(piece)], 'origin');

  const running = Promise.withResolvers<Parameters<Fill>[0]>();
  const sealed = Promise.withResolvers<void>();
  const fill: Fill = async (job) => {
    running.resolve(job);
    await sealed.promise;
    await job.draft.seal(never);
  };
  const fills = startFills({ fill, report: () => {}, ...(dripEveryMs !== undefined && { dripEveryMs }) });
  const remote = fakeRemote(new Map([[digest, bytes]]));
  const blob = await fills.follow(draft, remote);
  const job = await running.promise;
  return {
    bytes,
    blob,
    remote,
    status: () => fills.list()[0],
    count: draft.plan.count,
    seal: () => sealed.resolve(),
    async take(from: 'peer' | 'origin', piece: number) {
      job.arrived(from, chunkOf(piece).length);
      await job.draft.write(piece, [chunkOf(piece)], from);
    },
  };
}

test('where a blob comes from is unknown until its first bytes are here, and may become more than one place', async () => {
  const { blob, take, seal, count, bytes } = await scene();
  await using _ = blob;
  expect(blob.source).toBeUndefined();
  await take('peer', 0);
  expect(blob.source).toBe('peer');
  for (let piece = 1; piece < count - 1; piece++) await take('peer', piece);
  expect(blob.source).toBe('peer');
  await take('origin', count - 1);
  expect(blob.source).toBe('mixed');
  seal();
  expect((await readFrom(blob, 0)).equals(bytes)).toBe(true);
});

test('a fill from the origin alone is said to be one', async () => {
  const { blob, take } = await scene();
  await using _ = blob;
  await take('origin', 0);
  expect(blob.source).toBe('origin');
});

test('what lay on the disk is the source only when nothing else is needed', async () => {
  const part = await scene(2);
  await using _part = part.blob;
  expect(part.blob.source).toBe('mixed');
  const whole = await scene(part.count);
  await using _whole = whole.blob;
  expect(whole.blob.source).toBe('disk');
});

test('a reader that is held is given a few bytes of the origin now and then, and never of the last piece', async () => {
  const { blob, bytes, remote, take, seal, count, status } = await scene(0, 40);
  await using _ = blob;
  const into = Buffer.alloc(100_000);
  const first = blob.read(into, 0, never);
  await vi.waitFor(() => expect(status()?.awaitsProof).toBe(false));
  for (let piece = 0; piece < count; piece++) await take('peer', piece);
  expect(status()?.awaitsProof).toBe(true);
  const given = await first;
  expect(given).toBe(4096);
  expect(into.subarray(0, given).equals(bytes.subarray(0, given))).toBe(true);
  expect(await blob.read(into, given, never)).toBe(4096);
  const last = pieceSpan(planPieces(SIZE), count - 1).start;
  expect(await blob.read(into, last - 10, never)).toBe(10);
  const end = blob.read(into, last, never);
  const asked = remote.reads.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(remote.reads).toHaveLength(asked);
  seal();
  expect(await end).toBeGreaterThan(0);
  expect(blob.source).toBe('mixed');
});

test('a reader that is held waits for the proof when the origin is gone, and for what is not here in any case', async () => {
  const { blob, bytes, remote, take, seal, count } = await scene(0, 20);
  await using _ = blob;
  const reading = readFrom(blob, 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(remote.reads).toEqual([]);
  remote.isDown = true;
  for (let piece = 0; piece < count; piece++) await take('peer', piece);
  await new Promise((resolve) => setTimeout(resolve, 100));
  seal();
  expect((await reading).equals(bytes)).toBe(true);
});

test('a reader that goes while it is held is let go at once', async () => {
  const { blob, take } = await scene();
  await using _ = blob;
  await take('peer', 0);
  const stop = new AbortController();
  const reading = blob.read(Buffer.alloc(10), 0, stop.signal);
  stop.abort(new Error('gone'));
  await expect(reading).rejects.toThrow('given up');
});
