import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFailure, pieceSpan, planPieces, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { startHash } from './draft-hash.ts';
import { emptyMap } from './draft-map.ts';
import { addPiece, newState } from './draft-state.ts';
import { openStore } from './open-store.ts';

const MIB: number = 1024 * 1024;
const SIZE: number = 48 * MIB;

test('a draft whose pieces come in another order is proven, and takes no new memory for each', async () => {
  const root = join(await mkdtemp(join(tmpdir(), 'drayage-store-')), 'data');
  await using store = await openStore({ root, quotaBytes: 1e9, now: Date.now, report: () => {} });
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  await using draft = await store.draft(digest, SIZE);
  if (!draft) throw new Error('no draft');
  const before = process.memoryUsage().arrayBuffers;
  for (let pair = 0; pair < draft.plan.count; pair += 2) {
    for (const piece of [pair + 1, pair]) {
      const { start, end } = pieceSpan(draft.plan, piece);
      await draft.write(piece, [bytes.subarray(start, end)], 'peer');
    }
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MIB);
  expect(await draft.seal(AbortSignal.timeout(10_000))).toBe(true);
});

test('a disk that fails while it is looked through for what made the digest fail ends the draft', async () => {
  const bytes = randomBytes(1000);
  const plan = planPieces(bytes.length);
  const troubles: Error[] = [];
  const data = { read: () => Promise.reject(new Error('EIO')) } as Partial<FileHandle> as FileHandle; // only this is asked of it here
  const state = newState({
    ...{ digest: sha256(randomBytes(1000)), plan, data, mapFile: data, map: emptyMap(plan) },
    ...{ report: () => {}, now: Date.now, keep: async () => {}, release: async () => {} },
    trouble: (error) => void troubles.push(error),
  });
  const hash = startHash(state);
  hash.feed(0, [bytes]);
  addPiece(state, 0, 'peer');
  await expect(hash.prove(AbortSignal.timeout(10_000))).rejects.toSatisfy((error) => isFailure(error, 'disk_failed'));
  expect(troubles).toHaveLength(1);
});
