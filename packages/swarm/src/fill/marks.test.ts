import { expect, test } from 'vitest';
import { keepMarks } from './marks.ts';

test.each(['lie', 'misses'] as const)('a member in quarantine for %s is not asked until its time is over', (why) => {
  let now = 0;
  const marks = keepMarks(() => now);
  marks.add('a', 1000, why);
  expect(marks.isTrusted('a')).toBe(false);
  expect(marks.isBarred('a')).toBe(why === 'misses');
  expect(marks.list().get('a')).toEqual({ until: 1000, why });
  now = 1000;
  expect(marks.isTrusted('a')).toBe(true);
  expect(marks.isBarred('a')).toBe(false);
  expect(marks.list().size).toBe(0);
});

test('one who breaks the rules of a link is barred for a minute, and not called quarantined', () => {
  let now = 0;
  const marks = keepMarks(() => now);
  marks.shun('a');
  expect(marks.isBarred('a')).toBe(true);
  expect(marks.isTrusted('a')).toBe(false);
  expect(marks.list().size).toBe(0);
  now = 60_000;
  expect(marks.isBarred('a')).toBe(false);
});

test('the oldest marks make room for new ones', () => {
  const marks = keepMarks(() => 0);
  for (let at = 0; at <= 4096; at++) marks.add(`m${at}`, 1000, 'misses');
  for (let at = 0; at <= 4096; at++) marks.shun(`s${at}`);
  expect(marks.list().size).toBe(4096);
  expect(marks.isBarred('m0')).toBe(false);
  expect(marks.isBarred('s0')).toBe(false);
  expect(marks.isBarred('s1')).toBe(true);
});
