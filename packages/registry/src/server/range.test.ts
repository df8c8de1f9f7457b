import { expect, test } from 'vitest';
import { parseRange } from './range.ts';

test.each([
  [undefined, undefined],
  ['bytes=0-', { start: 0, end: 100 }],
  ['bytes=0-0', { start: 0, end: 1 }],
  ['bytes=10-19', { start: 10, end: 20 }],
  ['bytes=10-', { start: 10, end: 100 }],
  ['bytes=99-', { start: 99, end: 100 }],
  ['bytes=90-1000', { start: 90, end: 100 }],
  ['bytes=-5', { start: 95, end: 100 }],
  ['bytes=-1000', { start: 0, end: 100 }],
  ['BYTES=1-2', { start: 1, end: 3 }],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=99999999999999999999999-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=20-10', undefined],
  ['bytes=0-1,5-6', undefined],
  ['bytes=-', undefined],
  ['bytes=a-b', undefined],
  ['bytes', undefined],
  ['items=0-1', undefined],
  ['bytes=1--2', undefined],
  [`bytes=${'0'.repeat(200)}-`, undefined],
])('of 100 bytes, %s is %o', (header, expected) => {
  expect(parseRange(header, 100)).toEqual(expected);
});

test.each(['bytes=0-', 'bytes=-5', 'bytes=0-0'])('of an empty blob, %s has nothing', (header) => {
  expect(parseRange(header, 0)).toBe('unsatisfiable');
});
