import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sha256 } from './digest.ts';
import { fakeRemote } from './fake-remote.ts';
import type { Fill } from './fill.ts';
import { startFills } from './fills.ts';
import { memoryStore } from './memory-store.ts';
import { pieceSpan } from './pieces.ts';
import { readFrom } from './store-contract.ts';

const SIZE = 2_000_000;
const never: AbortSignal = new AbortController().signal;

/** A blob that is filled piece by piece from where the test says, each when it says so. */
async function scene(heldPieces = 0) {
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  const store = memoryStore();
  const draft = await store.draft(digest, SIZE);
  if (!draft) throw new Error('no draft');
  const chunkOf = (piece: number) => {
    const { start, end } = pieceSpan(draft.plan, piece);
    return bytes.subarray(start, end);
  };
  for (let piece = 0; piece < heldPieces; piece++) await draft.write(piece, [chunkOf(piece)]);

  const running = Promise.withResolvers<Parameters<Fill>[0]>();
  const sealed = Promise.withResolvers<void>();
  const fill: Fill = async (job) => {
    running.resolve(job);
    await sealed.promise;
    await job.draft.seal(never);
  };
  const fills = startFills({ fill, report: () => {} });
  const blob = await fills.follow(draft, fakeRemote(new Map()));
  const job = await running.promise;
  return {
    bytes,
    blob,
    count: draft.plan.count,
    seal: () => sealed.resolve(),
    async take(from: 'peer' | 'origin', piece: number) {
      job.arrived(from, chunkOf(piece).length);
      await job.draft.write(piece, [chunkOf(piece)]);
    },
  };
}

test('where a blob comes from is unknown until its first bytes are here, and may become more than one place', async () => {
  const { blob, take, seal, count, bytes } = await scene();
  await using _ = blob;
  expect(blob.source).toBeUndefined();
  await take('peer', 0);
  await blob.read(Buffer.alloc(10), 0, never);
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
