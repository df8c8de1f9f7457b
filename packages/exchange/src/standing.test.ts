import { expect, test } from 'vitest';
import { LIE_QUARANTINE_MS, MISSES_QUARANTINE_MS, STANDING_MAX, WRONG_DOUBTS_MAX } from './limits.ts';
import { acquit, convict, doubt, doubtOf, forgive, isQuarantined, newStanding, noteMiss } from './standing.ts';

test('three claims in a minute that come to nothing mean a minute of quarantine', () => {
  const standing = newStanding();
  expect([0, 1000, 2000].map((at) => noteMiss(standing, 1, at))).toEqual([false, false, true]);
  expect(isQuarantined(standing, 1, 3000)).toBe(true);
  expect(isQuarantined(standing, 1, 2000 + MISSES_QUARANTINE_MS)).toBe(false);
});

test('misses of one moment count once, and a word that is kept makes up for those before', () => {
  const standing = newStanding();
  expect([0, 1, 2, 3].map((at) => noteMiss(standing, 1, at))).not.toContain(true);
  expect(noteMiss(standing, 1, 1000)).toBe(false);
  forgive(standing, 1);
  expect([2000, 3000].map((at) => noteMiss(standing, 1, at))).not.toContain(true);
});

test('misses that lie further apart are forgiven', () => {
  const standing = newStanding();
  expect([0, 40_000, 80_000, 120_000].map((at) => noteMiss(standing, 1, at))).not.toContain(true);
});

test('a proven lie means a day of quarantine, which misses do not shorten', () => {
  const standing = newStanding();
  convict(standing, 1, 0);
  for (const at of [1000, 2000, 3000]) noteMiss(standing, 1, at);
  expect(isQuarantined(standing, 1, LIE_QUARANTINE_MS - 1)).toBe(true);
  expect(isQuarantined(standing, 2, 1)).toBe(false);
});

test('the more members say that one lied the more it is doubted, and no one counts twice, nor a liar', () => {
  const standing = newStanding();
  convict(standing, 5, 0);
  const doubts = [2, 2, 3, 5, 1].map((doubter) => {
    doubt(standing, 1, doubter, 0);
    return doubtOf(standing, 1, 0);
  });
  expect(doubts).toEqual([1 / 2, 1 / 2, 2 / 3, 2 / 3, 2 / 3]);
});

test('who doubted too many that were right is not listened to any more', () => {
  const standing = newStanding();
  for (let author = 10; author < 10 + WRONG_DOUBTS_MAX; author++) {
    doubt(standing, author, 2, 0);
    expect(doubtOf(standing, author, 0)).toBeGreaterThan(0);
    acquit(standing, author);
  }
  doubt(standing, 9, 2, 0);
  expect(doubtOf(standing, 9, 0)).toBe(0);
});

test('what one said of many at once counts no more when too many of them were right', () => {
  const standing = newStanding();
  for (let author = 10; author < 100; author++) doubt(standing, author, 2, 0);
  for (let author = 10; author < 10 + WRONG_DOUBTS_MAX; author++) acquit(standing, author);
  expect(doubtOf(standing, 99, 0)).toBe(0);
});

test('the record is bounded: the oldest is forgotten', () => {
  const standing = newStanding();
  for (let member = 0; member <= STANDING_MAX; member++) convict(standing, member, 0);
  expect(standing.quarantinedUntil.size).toBe(STANDING_MAX);
  expect(isQuarantined(standing, 0, 1)).toBe(false);
});
