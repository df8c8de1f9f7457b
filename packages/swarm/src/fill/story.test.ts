import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { keepStories } from './story.ts';

const DIGEST = sha256(Buffer.from('a blob'));
const FACTS = { digest: DIGEST, size: 10, origin: 'o.example', diskBytes: 0 };

test('a story tells where the bytes came from, and how it ended', () => {
  let now = 1;
  const stories = keepStories(
    () => now,
    (member) => (member === 'a' ? 'z1' : undefined),
  );
  const story = stories.begin(FACTS);
  story.origin('request');
  story.originBytes(4);
  story.member('a').bytes += 6;
  story.member('a').refusals.busy++;
  story.home('h');
  now = 5;
  story.note('something');
  story.end('sealed', undefined);
  expect(stories.of(DIGEST)).toEqual([
    {
      ...FACTS,
      ...{ state: 'sealed', startedAt: 1, endedAt: 5, problem: undefined, home: 'h' },
      fromOrigin: { bytes: 4, requests: 1, failures: 0 },
      fromMembers: [
        {
          ...{ member: 'a', zone: 'z1', bytes: 6, pieces: 0 },
          refusals: { busy: 1, gone: 0 },
          calledOff: 0,
          rejected: 0,
        },
      ],
      notes: [{ at: 5, text: 'something' }],
    },
  ]);
});

test('what was told earlier does not change when it is told on', () => {
  const stories = keepStories(
    () => 0,
    () => undefined,
  );
  const story = stories.begin(FACTS);
  story.member('a').bytes = 1;
  const [told] = stories.of(DIGEST);
  story.member('a').bytes = 2;
  story.member('a').refusals.busy = 2;
  story.note('later');
  story.originBytes(3);
  expect(told).toMatchObject({
    fromMembers: [{ bytes: 1, refusals: { busy: 0 } }],
    notes: [],
    fromOrigin: { bytes: 0 },
  });
});

test('the latest story of a blob comes first, and old ones are forgotten', () => {
  const stories = keepStories(
    () => 0,
    () => undefined,
  );
  for (let at = 0; at < 201; at++) stories.begin({ ...FACTS, size: at });
  expect(stories.of(DIGEST)).toHaveLength(200);
  expect(stories.of(DIGEST)[0]?.size).toBe(200);
});

test('no more notes and members are kept than anyone would read', () => {
  const stories = keepStories(
    () => 0,
    () => undefined,
  );
  const story = stories.begin(FACTS);
  for (let at = 0; at < 100; at++) {
    story.note(`${at}`);
    story.member(`m${at}`).bytes++;
  }
  const [told] = stories.of(DIGEST);
  expect(told?.notes).toHaveLength(50);
  expect(told?.fromMembers).toHaveLength(64);
});
