import { expect, test } from 'vitest';
import { pieceBuffers } from './buffers.ts';

const KIB = 1024;

test('a buffer given back is used again, also for a last piece of an odd length', () => {
  const buffers = pieceBuffers(512 * KIB);
  const first = buffers.demand(256 * KIB);
  buffers.give(first);
  const second = buffers.demand(200 * KIB);
  expect(second).toHaveLength(200 * KIB);
  expect(second.buffer).toBe(first.buffer);
});

test('there are no more than the bound allows, but for bytes that come in any case', () => {
  const buffers = pieceBuffers(512 * KIB);
  expect(buffers.take(256 * KIB)).toBeDefined();
  expect(buffers.take(256 * KIB)).toBeDefined();
  expect(buffers.take(256 * KIB)).toBeUndefined();
  expect(buffers.demand(256 * KIB)).toHaveLength(256 * KIB);
});

test('one piece is always possible, however large', () => {
  expect(pieceBuffers(64 * KIB).take(4096 * KIB)).toBeDefined();
});

test('idle buffers of one size make room for another', () => {
  const buffers = pieceBuffers(512 * KIB);
  const small = [buffers.demand(256 * KIB), buffers.demand(256 * KIB)];
  for (const buffer of small) buffers.give(buffer);
  const large = buffers.take(512 * KIB);
  expect(large).toHaveLength(512 * KIB);
  if (large) buffers.give(large);
  expect(buffers.inUseBytes()).toBe(0);
});
