import { expect, test } from 'vitest';
import { keepRests } from './rests.ts';

test('a member that could not be reached is left in peace for a second, and longer each time', () => {
  let now = 0;
  const rests = keepRests(() => now);
  const waits: number[] = [];
  for (let tries = 0; tries < 5; tries++) {
    rests.begin('m');
    const from = now;
    while (rests.isOn('m')) now += 500;
    waits.push(now - from);
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 8000]);
  expect(rests.isOn('another')).toBe(false);
});

test('once it was reached, all is forgotten', () => {
  let now = 0;
  const rests = keepRests(() => now);
  rests.begin('m');
  rests.begin('m');
  rests.end('m');
  expect(rests.isOn('m')).toBe(false);
  rests.begin('m');
  now = 1000;
  expect(rests.isOn('m')).toBe(false);
});

test('only so many are remembered', () => {
  const rests = keepRests(() => 0);
  for (let member = 0; member < 5000; member++) rests.begin(`${member}`);
  expect(rests.isOn('0')).toBe(false);
  expect(rests.isOn('4999')).toBe(true);
});
