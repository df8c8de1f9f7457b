import { expect, test } from 'vitest';
import { usualAnswer, usualWhenLate } from './answers.ts';
import { ANSWER_WAIT_MS_MAX } from './limits.ts';

test('a host that slept for an hour does not wait for others as long', () => {
  expect(usualWhenLate(10, 3_600_000)).toBeLessThan(ANSWER_WAIT_MS_MAX);
});

test('an answer that took an hour counts as the latest that is waited for', () => {
  expect(usualAnswer(0, 3_600_000)).toBe(ANSWER_WAIT_MS_MAX);
});
