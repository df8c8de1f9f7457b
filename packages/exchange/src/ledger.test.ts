import { expect, test } from 'vitest';
import { bitmapOf } from './fake-member.ts';
import {
  complain,
  countUnseen,
  fetchersOf,
  forgetFetcher,
  newLedger,
  noteHeld,
  noteLanded,
  noteWithdrawn,
  releaseDoubtful,
  releaseUnseen,
  takeRun,
} from './ledger.ts';
import { DOUBT_MS, ORPHAN_MS } from './limits.ts';

test('runs are given in the order of the blob, each piece once', () => {
  const ledger = newLedger(256);
  expect(takeRun(ledger, { member: 1, others: 100 }, 0)).toEqual({ start: 0, end: 4 });
  expect(takeRun(ledger, { member: 2, others: 100 }, 0)).toEqual({ start: 4, end: 8 });
  expect(ledger.free).toBe(248);
});

test('a run goes round what is taken, and there is none when all is', () => {
  const ledger = newLedger(3);
  noteLanded(ledger, 1, 9, 0);
  expect([
    takeRun(ledger, { member: 1, others: 100 }, 0),
    takeRun(ledger, { member: 1, others: 100 }, 0),
    takeRun(ledger, { member: 1, others: 100 }, 0),
  ]).toEqual([{ start: 0, end: 1 }, { start: 2, end: 3 }, undefined]);
});

test('what a member that goes away was to fetch is free at once, what only it had a while later', () => {
  const ledger = newLedger(128);
  takeRun(ledger, { member: 1, others: 100 }, 0);
  noteLanded(ledger, 0, 1, 0);
  forgetFetcher(ledger, 1, 100);
  expect(ledger.free).toBe(127);
  releaseDoubtful(ledger, 100 + ORPHAN_MS);
  expect(ledger.free).toBe(128);
});

test('a piece that somebody else shows is not lost with its fetcher', () => {
  const ledger = newLedger(2);
  noteLanded(ledger, 0, 1, 0);
  forgetFetcher(ledger, 1, 100);
  noteHeld(ledger, bitmapOf(2, [0]), 2, 200);
  releaseDoubtful(ledger, 5000);
  expect(ledger.free).toBe(1);
});

test('pieces rest on a word alone until somebody else has them', () => {
  const ledger = newLedger(4);
  for (const piece of [0, 1]) noteLanded(ledger, piece, 1, 0);
  noteHeld(ledger, bitmapOf(4, [1]), 2, 10);
  expect(countUnseen(ledger, 1)).toBe(1);
  expect([...fetchersOf(ledger, [0, 1, 3])]).toEqual([1]);
  releaseUnseen(ledger, 1);
  expect(ledger.free).toBe(3);
});

test('a leased piece has landed only when its holder says so', () => {
  const ledger = newLedger(64);
  takeRun(ledger, { member: 1, others: 100 }, 0);
  noteHeld(ledger, bitmapOf(64, [0]), 2, 10);
  expect(countUnseen(ledger, 2)).toBe(0);
});

const by = (member: number) => ({ by: member, doubtMs: DOUBT_MS });

test('the first complaint changes nothing, a later one frees the piece', () => {
  const ledger = newLedger(1);
  noteLanded(ledger, 0, 1, 0);
  expect(complain(ledger, 0, by(2), 2000)).toBe('stays');
  expect(complain(ledger, 0, by(2), 2001)).toBe('stays');
  expect(complain(ledger, 0, by(2), 2000 + DOUBT_MS)).toBe('freed');
  expect(ledger.free).toBe(1);
});

test('when two complain of what rests on one word, it was a lie, and is not believed again', () => {
  const ledger = newLedger(1);
  noteHeld(ledger, bitmapOf(1, [0]), 1, 0);
  complain(ledger, 0, by(2), 2000);
  expect(complain(ledger, 0, by(3), 2000 + DOUBT_MS)).toBe('lied');
  noteHeld(ledger, bitmapOf(1, [0]), 1, 4000);
  expect(ledger.free).toBe(1);
});

test('what its fetcher no longer says it has is free at the first complaint, whoever else had it', () => {
  const ledger = newLedger(2);
  for (const piece of [0, 1]) noteLanded(ledger, piece, 1, 0);
  noteHeld(ledger, bitmapOf(2, [0, 1]), 2, 10);
  noteWithdrawn(ledger, bitmapOf(2, [1]), 1);
  noteWithdrawn(ledger, bitmapOf(2, []), 2);
  const patient = { by: 3, doubtMs: 10 * DOUBT_MS };
  expect(complain(ledger, 0, patient, DOUBT_MS - 1)).toBe('stays');
  expect(complain(ledger, 0, patient, DOUBT_MS)).toBe('freed');
  expect(complain(ledger, 1, patient, DOUBT_MS)).toBe('stays');
  noteHeld(ledger, bitmapOf(2, [0]), 2, 1000);
  expect(ledger.free).toBe(1);
});

test('what its fetcher says it has again is believed again', () => {
  const ledger = newLedger(1);
  noteLanded(ledger, 0, 1, 0);
  noteWithdrawn(ledger, bitmapOf(1, []), 1);
  noteWithdrawn(ledger, bitmapOf(1, [0]), 1);
  expect(complain(ledger, 0, by(2), DOUBT_MS)).toBe('stays');
});
