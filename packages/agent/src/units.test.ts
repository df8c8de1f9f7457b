import { expect, test } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseRate, parseSize } from './units.ts';

test.each([
  ['10GiB', 10 * 2 ** 30],
  ['500MB', 500e6],
  ['1048576', 1_048_576],
  ['1.5KiB', 1536],
  ['0', 0],
])('the size %s is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(['', 'GiB', '10 gib', '-1', '1e9', '10GiBs', '9999999999999999TiB', '1MiB/s'])('%j is no size', (text) => {
  expect(() => parseSize(text)).toThrow('not a size such as');
});

test.each([
  ['30s', 30_000],
  ['5m', 300_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['250ms', 250],
  ['0', 0],
])('the duration %s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', '5', '5 m', '-5m', '1h30m', '99999d', 'm'])('%j is no duration', (text) => {
  expect(() => parseDuration(text)).toThrow('not a duration such as');
});

test('a rate is a size per second', () => {
  expect(parseRate('50MiB/s')).toBe(50 * 2 ** 20);
  expect(() => parseRate('50MiB')).toThrow('not a rate');
});

test('figures are short enough to read', () => {
  expect([0, 1023, 1024, 12.34 * 2 ** 20, 200 * 2 ** 30].map(formatSize)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '12.3 MiB',
    '200 GiB',
  ]);
  expect([900, 42_000, 190_000, 7_500_000, 360_000_000].map(formatDuration)).toEqual([
    '0.9s',
    '42s',
    '3m 10s',
    '2h 5m',
    '4d 4h',
  ]);
});
