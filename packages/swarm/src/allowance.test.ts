import { expect, test } from 'vitest';
import { keepAllowances } from './allowance.ts';

test('a member may burst, then asks at the pace that is allowed, and disturbs no other', () => {
  let time = 0;
  const { take } = keepAllowances({ perSecond: 10, most: 100, now: () => time });
  expect(Array.from({ length: 120 }, () => take('one', 1)).filter(Boolean)).toHaveLength(100);
  expect(take('two', 100)).toBe(true);
  time += 1000;
  expect(Array.from({ length: 120 }, () => take('one', 1)).filter(Boolean)).toHaveLength(10);
  time += 3_600_000;
  expect(Array.from({ length: 120 }, () => take('one', 1)).filter(Boolean)).toHaveLength(100);
});
