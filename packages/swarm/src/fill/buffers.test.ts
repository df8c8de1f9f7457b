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

test('what is in a buffer given back by name can be had until others have used it, the oldest first', () => {
  const buffers = pieceBuffers(768 * KIB);
  const [first, second, third] = [1, 2, 3].map((value) => buffers.demand(256 * KIB).fill(value));
  if (!first || !second || !third) throw new Error('no buffers');
  buffers.give(first, 'first');
  buffers.give(second, 'second');
  buffers.give(third, 'third');
  buffers.forget('third');
  expect(buffers.recall('first')?.[0]).toBe(1);
  buffers.demand(256 * KIB);
  expect(['first', 'second', 'third'].map((name) => buffers.recall(name)?.[0])).toEqual([undefined, 2, undefined]);
});

test('a name is of the last buffer that was given under it', () => {
  const buffers = pieceBuffers(768 * KIB);
  const [old, fresh] = [1, 2].map((value) => buffers.demand(256 * KIB).fill(value));
  if (!old || !fresh) throw new Error('no buffers');
  buffers.give(old, 'piece');
  buffers.give(fresh, 'piece');
  buffers.demand(256 * KIB);
  expect(buffers.recall('piece')?.[0]).toBe(2);
});

test('a buffer that nobody may ask for is used again first', () => {
  const buffers = pieceBuffers(768 * KIB);
  const [plain, named] = [buffers.demand(256 * KIB), buffers.demand(256 * KIB)];
  buffers.give(named, 'named');
  buffers.give(plain);
  expect(buffers.demand(256 * KIB).buffer).toBe(plain.buffer);
  expect(buffers.recall('named')?.buffer).toBe(named.buffer);
});

test('a little is remembered before any buffer is used again', () => {
  const buffers = pieceBuffers(768 * KIB);
  const first = buffers.demand(128 * KIB);
  buffers.give(first, 'first');
  expect(buffers.demand(128 * KIB).buffer).not.toBe(first.buffer);
  expect(buffers.recall('first')?.buffer).toBe(first.buffer);
});
