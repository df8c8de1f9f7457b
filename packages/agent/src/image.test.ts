import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { choose, formatPlatform, parsePlatform, readIndex } from './image.ts';

const digestOf = (text: string) => sha256(Buffer.from(text));
const index = Buffer.from(
  JSON.stringify({
    manifests: [
      { digest: digestOf('amd64'), platform: { os: 'linux', architecture: 'amd64' } },
      { digest: digestOf('v7'), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      { digest: digestOf('v6'), platform: { os: 'linux', architecture: 'arm', variant: 'v6' } },
      { digest: digestOf('note'), platform: { os: 'unknown', architecture: 'unknown' } },
      { digest: digestOf('bare') },
      { digest: 'sha256:short', platform: { os: 'linux', architecture: 'amd64' } },
    ],
  }),
);

test.each([
  ['linux/amd64', 'amd64'],
  ['linux/arm', 'v7'],
  ['linux/arm/v6', 'v6'],
])('of an index, %s means the manifest %s', (platform, name) => {
  expect(choose(readIndex(index), parsePlatform(platform)).map(({ digest }) => digest)).toEqual([digestOf(name)]);
});

test.each(['linux/s390x', 'linux/arm/v5', 'windows/amd64'])('of this index, %s means none', (platform) => {
  expect(choose(readIndex(index), parsePlatform(platform))).toEqual([]);
});

test('a platform is written as it is read, and nothing else is one', () => {
  expect(formatPlatform(parsePlatform('linux/arm/v7'))).toBe('linux/arm/v7');
  for (const text of ['linux', 'linux/', 'LINUX/amd64', 'linux/amd64/v1/x', '']) {
    expect(() => parsePlatform(text)).toThrow('OS/ARCHITECTURE');
  }
});

test.each(['', '[]', '{}', '{"manifests":{}}', 'null'])('%j is no index', (text) => {
  expect(() => readIndex(Buffer.from(text))).toThrow();
});
