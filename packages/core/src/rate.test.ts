import { expect, test } from 'vitest';
import { rateOf } from './rate.ts';

const never: AbortSignal = new AbortController().signal;

test('what is within the rate passes at once, and what is beyond it waits', async () => {
  const rate = rateOf(1000, () => 0);
  await rate.take(200, never);
  const waiting = AbortSignal.abort(new Error('enough'));
  await expect(rate.take(10_000, waiting)).rejects.toThrow();
});

test('all who take share one rate', async () => {
  let now = 0;
  const rate = rateOf(1_000_000, () => now);
  for (let taker = 0; taker < 5; taker++) await rate.take(50_000, never);
  await expect(rate.take(100_000, AbortSignal.abort(new Error('enough')))).rejects.toThrow();
  now = 1000;
  await rate.take(100_000, never);
});
