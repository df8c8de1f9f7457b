import { expect, test } from 'vitest';
import { keepMarks } from './marks.ts';

test('a member in quarantine is barred until its time is over', () => {
  let now = 0;
  const marks = keepMarks(() => now);
  marks.add('a', 1000, 'lie');
  expect(marks.isBarred('a')).toBe(true);
  expect(marks.list().get('a')).toEqual({ until: 1000, why: 'lie' });
  now = 1000;
  expect(marks.isBarred('a')).toBe(false);
  expect(marks.list().size).toBe(0);
});

test('one who breaks the rules of a link is barred for a minute, and not called quarantined', () => {
  let now = 0;
  const marks = keepMarks(() => now);
  marks.shun('a');
  expect(marks.isBarred('a')).toBe(true);
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
