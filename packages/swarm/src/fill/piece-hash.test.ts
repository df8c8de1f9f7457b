import { randomBytes } from 'node:crypto';
import { BLOCK_BYTES, pieceSpan, planPieces, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { hashPiece, pieceHashes } from './piece-hash.ts';

test.each([1, BLOCK_BYTES, BLOCK_BYTES + 1, 262_144, 262_145, 1_000_000])(
  'the pieces of %i bytes hash alike from their bytes and from the blocks a store knows',
  async (size) => {
    await using store = memoryStore();
    const bytes = randomBytes(size);
    await store.put(sha256(bytes), bytes);
    const plan = planPieces(size);
    const known = pieceHashes(plan, (await store.blockHashes(sha256(bytes))) ?? Buffer.alloc(0));
    const own = Array.from({ length: plan.count }, (_, piece) => {
      const { start, end } = pieceSpan(plan, piece);
      return hashPiece(bytes.subarray(start, end)).hash;
    });
    expect(known).toEqual(own);
  },
);

test('the blocks of a piece come with its hash, in order', () => {
  const bytes = randomBytes(2 * BLOCK_BYTES + 5);
  const { blockHashes } = hashPiece(bytes);
  expect(blockHashes).toHaveLength(3 * 32);
  expect(hashPiece(bytes.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)).blockHashes).toEqual(blockHashes.subarray(32, 64));
});
