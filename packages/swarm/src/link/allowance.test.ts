import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { openAllowance } from './allowance.ts';
import { decodeHead, encodeFrame, FRAME, HEAD_BYTES } from './frame.ts';
import { encodeHave, encodeLost, encodeOpen, talkOf } from './payload.ts';
import { LINK_LIMITS } from './types.ts';

const LIMITS = { talkBytesMax: 1000, talkBytesPerSecond: 100 };

test('whoever talks at the pace is never too much, however long', () => {
  let now = 0;
  const spend = openAllowance(LIMITS, () => now);
  for (; now < 100_000; now += 10) spend(1);
  spend(999);
  expect(now).toBe(100_000);
});

test('much at once is borne once, and again after a pause, but a pause saves up no more than that', () => {
  let now = 0;
  const spend = openAllowance(LIMITS, () => now);
  spend(1000);
  expect(() => spend(1)).toThrow('talks too much');
  now += 1_000_000;
  spend(1000);
  expect(() => spend(1)).toThrow(expect.objectContaining({ reason: 'excess' }));
});

test('an honest member may say at once what it has of five hundred blobs, some of them huge', () => {
  const spend = openAllowance(LINK_LIMITS, () => 0);
  const digest = sha256(Buffer.from('a blob'));
  const terms = encodeOpen(digest, { zone: 'z'.repeat(64) });
  for (let channel = 0; channel < 500; channel++) {
    const pieces = Array.from({ length: channel % 10 === 0 ? 25_600 : 512 }, (_, piece) => piece);
    for (const frame of [encodeFrame({ type: FRAME.open, channel }, terms), ...encodeHave(channel, pieces, 0)])
      spend(talkOf(decodeHead(frame.subarray(0, HEAD_BYTES))));
  }
});

test('what names more pieces is more talk', () => {
  const talk = (pieces: readonly number[]) =>
    encodeLost(0, pieces).reduce((sum, frame) => sum + talkOf(decodeHead(frame.subarray(0, HEAD_BYTES))), 0);
  expect([talk([1]), talk([1, 1000]), talk(Array.from({ length: 512 }, (_, piece) => piece))]).toEqual([24, 24, 528]);
});
