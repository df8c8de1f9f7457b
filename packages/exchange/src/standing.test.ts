import { expect, test } from 'vitest';
import { LIE_QUARANTINE_MS, MISSES_QUARANTINE_MS, STANDING_MAX } from './limits.ts';
import { convict, forgive, isQuarantined, newStanding, noteMiss } from './standing.ts';

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

test('the record is bounded: the oldest is forgotten', () => {
  const standing = newStanding();
  for (let member = 0; member <= STANDING_MAX; member++) convict(standing, member, 0);
  expect(standing.quarantinedUntil.size).toBe(STANDING_MAX);
  expect(isQuarantined(standing, 0, 1)).toBe(false);
});
