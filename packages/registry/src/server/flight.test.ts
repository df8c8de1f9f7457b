import { Failure } from '@drayage/core';
import { expect, test } from 'vitest';
import { hedged } from './flight.ts';

const never: AbortSignal = new AbortController().signal;
const waiting = () => new Promise<undefined>(() => {});
const failing = () => Promise.reject(new Failure('origin_unavailable', 'gone'));

test('the second way is not tried when the first gives something in time', async () => {
  const second = () => Promise.reject(new Error('it was tried'));
  expect(await hedged(Promise.resolve('first'), 1000, second, never)).toBe('first');
});

test('the second way is tried at once when the first gives nothing, or fails', async () => {
  const second = async () => 'second';
  expect(await hedged(Promise.resolve(undefined), 60_000, second, never)).toBe('second');
  expect(await hedged(failing(), 60_000, second, never)).toBe('second');
});

test('of two slow ways the first that gives something counts, whatever becomes of the other', async () => {
  const late = Promise.withResolvers<string>();
  const race = hedged(late.promise, 1, failing, never);
  setTimeout(() => late.resolve('late'), 20);
  expect(await race).toBe('late');
  expect(await hedged(waiting(), 1, async () => 'second', never)).toBe('second');
});

test('when both give nothing it fails as the second does, and once nobody waits the second is not tried', async () => {
  await expect(hedged(Promise.resolve(undefined), 1, failing, never)).rejects.toThrow('gone');
  const stop = AbortSignal.abort(new Failure('blob_unavailable', 'the client is gone'));
  const second = () => Promise.reject(new Error('it was tried'));
  await expect(hedged(failing(), 1, second, stop)).rejects.toThrow('the client is gone');
});
