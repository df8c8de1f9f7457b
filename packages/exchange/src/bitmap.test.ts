import { expect, test } from 'vitest';
import {
  addPiece,
  emptyBitmap,
  firstAbsent,
  fullBitmap,
  hasMoreThan,
  hasPiece,
  listPieces,
  removePiece,
} from './bitmap.ts';

test('a bitmap has the pieces that were added and not removed', () => {
  const bits = emptyBitmap(70);
  for (const piece of [0, 31, 32, 69]) addPiece(bits, piece);
  removePiece(bits, 32);
  expect(listPieces(bits)).toEqual([0, 31, 69]);
  expect(hasPiece(bits, 31)).toBe(true);
  expect(hasPiece(bits, 32)).toBe(false);
});

test('a full bitmap has no piece beyond the last', () => {
  for (const count of [1, 31, 32, 33, 64]) expect(listPieces(fullBitmap(count))).toHaveLength(count);
});

test('the first absent piece is found across words, or none is', () => {
  const bits = fullBitmap(70);
  expect(firstAbsent(bits, 0, 70)).toBe(70);
  removePiece(bits, 65);
  expect(firstAbsent(bits, 0, 70)).toBe(65);
  expect(firstAbsent(bits, 66, 70)).toBe(70);
});

test('one bitmap has more than another when it has a piece the other lacks', () => {
  const few = emptyBitmap(40);
  addPiece(few, 39);
  expect(hasMoreThan(few, emptyBitmap(40))).toBe(true);
  expect(hasMoreThan(few, fullBitmap(40))).toBe(false);
});
