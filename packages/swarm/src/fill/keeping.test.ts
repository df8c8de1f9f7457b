import { randomBytes } from 'node:crypto';
import { type Draft, Failure, pieceSpan, planPieces, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import { nameOf, pieceBuffers } from './buffers.ts';
import { never } from './fake-hosts.ts';
import { type Keeping, keepPieces } from './keeping.ts';
import { hashPiece } from './piece-hash.ts';

const SIZE = 700_000;
const PLAN = planPieces(SIZE);
const ALL = [0, 1, 2];

interface Scene {
  readonly keeping: Keeping;
  readonly draft: Draft;
  readonly kept: number[];
  readonly failures: unknown[];
  /** Hands over a piece with these bytes, and has it kept. */
  keep(piece: number, bytes: Buffer): void;
  inUseBytes(): number;
  recall(piece: number): Buffer | undefined;
}

async function setScene(
  blob: Buffer,
  change: (draft: Draft) => Draft = (draft) => draft,
  isWanted = true,
): Promise<Scene> {
  const plain = await memoryStore().draft(sha256(blob), blob.length);
  if (!plain) throw new Error('no draft');
  const draft = change(plain);
  const buffers = pieceBuffers();
  const kept: number[] = [];
  const failures: unknown[] = [];
  const keeping = keepPieces({
    ...{ draft, buffers, isWanted: () => isWanted },
    kept: (piece) => void kept.push(piece),
    failed: (error) => void failures.push(error),
  });
  return {
    ...{ keeping, draft, kept, failures, inUseBytes: buffers.inUseBytes },
    recall: (piece) => buffers.recall(nameOf(draft.digest, piece)),
    keep(piece, from) {
      const { start, end } = pieceSpan(PLAN, piece);
      const bytes = buffers.demand(end - start);
      from.copy(bytes, 0, start, end);
      keeping.hand({ piece, bytes, ...hashPiece(bytes), attestation: undefined }, () => keeping.keep(piece));
    },
  };
}

test('a piece that is kept is in the draft, and its buffer given back', async () => {
  const blob = randomBytes(SIZE);
  const scene = await setScene(blob);
  for (const piece of ALL) scene.keep(piece, blob);
  await scene.keeping.settled();
  expect(scene.kept).toEqual(ALL);
  expect(await scene.keeping.prove(never)).toBe(true);
  expect(scene.inUseBytes()).toBe(0);
});

test('a piece that is kept can still be had from memory, and one that is dropped cannot', async () => {
  const blob = randomBytes(SIZE);
  const scene = await setScene(blob);
  for (const piece of [0, 1]) scene.keep(piece, blob);
  await scene.keeping.settled();
  scene.keep(2, blob);
  scene.keeping.drop([1, 2]);
  await scene.keeping.settled();
  expect(scene.recall(0)?.equals(blob.subarray(0, PLAN.pieceBytes))).toBe(true);
  expect([1, 2].map(scene.recall)).toEqual([undefined, undefined]);
});

test('what nobody may ask for is not remembered', async () => {
  const blob = randomBytes(SIZE);
  const scene = await setScene(blob, (draft) => draft, false);
  scene.keep(0, blob);
  await scene.keeping.settled();
  expect(scene.recall(0)).toBeUndefined();
});

test('the buffer of a piece that is not kept is given back at once', async () => {
  const { keeping, inUseBytes } = await setScene(randomBytes(SIZE));
  const buffers = pieceBuffers();
  const bytes = buffers.demand(10);
  expect(keeping.hand({ piece: 0, bytes, ...hashPiece(bytes), attestation: undefined }, () => {})).toBe(false);
  expect(() => keeping.keep(0)).toThrow('unseen');
  expect(inUseBytes()).toBeLessThanOrEqual(0);
});

test('a piece that is dropped and kept anew is the new one, however slow the disk', async () => {
  const blob = randomBytes(SIZE);
  const wrong = randomBytes(SIZE);
  const scene = await setScene(blob, (draft) => ({
    ...draft,
    async write(piece, ...rest) {
      await new Promise((resolve) => setTimeout(resolve, piece === 0 ? 20 : 1));
      await draft.write(piece, ...rest);
    },
  }));
  for (const piece of ALL) scene.keep(piece, wrong);
  scene.keeping.drop(ALL);
  for (const piece of ALL) scene.keep(piece, blob);
  scene.keeping.drop([1]);
  scene.keep(1, blob);
  await scene.keeping.settled();
  // What was dropped before it was written was never said to be here.
  expect(scene.kept.toSorted()).toEqual(ALL);
  expect(await scene.keeping.prove(never)).toBe(true);
  expect(scene.inUseBytes()).toBe(0);
});

test('nothing is dropped from a draft while it is being proven, nor after', async () => {
  const blob = randomBytes(SIZE);
  const { promise: read, resolve: goOn } = Promise.withResolvers<void>();
  const calls: string[] = [];
  const scene = await setScene(blob, (draft) => ({
    ...draft,
    async seal(signal) {
      calls.push('seal');
      await read;
      return await draft.seal(signal).finally(() => calls.push('sealed'));
    },
    async drop(pieces) {
      calls.push('drop');
      await draft.drop(pieces);
    },
  }));
  for (const piece of ALL) scene.keep(piece, blob);
  const proof = scene.keeping.prove(never);
  await vi.waitFor(() => expect(calls).toEqual(['seal']));
  scene.keeping.drop([1]);
  scene.keep(1, blob);
  goOn();
  expect(await proof).toBe(true);
  await scene.keeping.settled();
  expect(calls).toEqual(['seal', 'sealed']);
  // It is there all the same.
  expect(scene.kept).toEqual([...ALL, 1]);
  expect(await scene.keeping.prove(never)).toBe(true);
});

test('a draft that is not the blob is told from one that lost pieces', async () => {
  const blob = randomBytes(SIZE);
  const scene = await setScene(blob);
  for (const piece of ALL) scene.keep(piece, randomBytes(SIZE));
  expect(await scene.keeping.prove(never)).toBe(false);
  await scene.draft.drop([1]);
  expect(await scene.keeping.prove(never)).toBeUndefined();
});

test('a disk that fails is told of, and no buffer is lost', async () => {
  const blob = randomBytes(SIZE);
  const failure = new Failure('disk_failed', 'no');
  const scene = await setScene(blob, (draft) => ({
    ...draft,
    write: () => Promise.reject(failure),
    drop: () => Promise.reject(failure),
  }));
  scene.keep(0, blob);
  scene.keeping.drop([0]);
  await scene.keeping.room();
  await scene.keeping.settled();
  expect(scene.failures).toEqual([failure, failure]);
  expect(scene.kept).toEqual([]);
  expect(scene.inUseBytes()).toBe(0);
});
