import { expect, test } from 'vitest';
import { listPieces } from './bitmap.ts';
import { fakeMember, happen, helloWith, only } from './fake-member.ts';
import { HOME_ANSWER_MS, HOME_RETRY_MS, LACK_MS, REPORT_MS_MIN } from './limits.ts';
import { forgive, noteMiss } from './standing.ts';
import type { MemberEvent } from './words.ts';

const COUNT = 16;

function answer(home: number, members: readonly number[] = []): MemberEvent {
  return { kind: 'answered', home, answer: { members, reportEveryMs: 1000, usualUplink: 0 } };
}

test('a member joins at its first home by its first report', () => {
  const [report] = only(happen(fakeMember(COUNT), 0, { kind: 'tick' }), 'report');
  expect(report).toMatchObject({ home: 100, report: { wantsMembers: true, isFollowing: false } });
});

test('a home that does not answer in time is passed over for the next', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' });
  expect(happen(member, HOME_ANSWER_MS - 1, { kind: 'tick' })).toEqual([]);
  const [report] = only(happen(member, HOME_ANSWER_MS, { kind: 'tick' }), 'report');
  expect(report).toMatchObject({ home: 101, report: { isFollowing: true } });
});

test('a home that is known to be gone is passed over at once, and the next learns of the leases', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, answer(100), { kind: 'leased', home: 100, run: { start: 4, end: 6 } });
  const [report] = only(happen(member, 1, { kind: 'home lost', home: 100 }), 'report');
  expect(report?.home).toBe(101);
  expect(listPieces(report?.report.leased ?? new Uint32Array())).toEqual([4, 5]);
});

test('a member returns to the first home when that answers after all, with what it holds and has leased', () => {
  const member = fakeMember(COUNT);
  const homes = [...member.homes];
  happen(member, 0, { kind: 'tick' }, { kind: 'home lost', home: 100 }, answer(101));
  happen(member, 1, { kind: 'leased', home: 101, run: { start: 4, end: 6 } });
  const [report] = only(happen(member, 2, { kind: 'homes', homes }), 'report');
  expect(report).toMatchObject({ home: 100, report: { isFollowing: true } });
  expect(listPieces(report?.report.leased ?? new Uint32Array())).toEqual([4, 5]);
  expect(happen(member, 3, { kind: 'homes', homes })).toEqual([]);
});

test('a member goes to a nearer home as soon as one is known', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, answer(100));
  const [report] = only(happen(member, 1, { kind: 'homes', homes: [99, 100, 101] }), 'report');
  expect(report?.home).toBe(99);
  expect(happen(member, 2, { kind: 'leased', home: 100, run: { start: 0, end: 1 } })).toEqual([]);
});

test('with no home at all, a member fetches for itself, and tries again later', () => {
  const member = fakeMember(COUNT);
  for (const _ of member.homes)
    happen(member, 0, { kind: 'tick' }, { kind: 'home lost', home: 100 + member.home.index });
  expect(only(happen(member, 250, { kind: 'tick' }), 'fetch')[0]?.run.start).toBe(0);
  expect(only(happen(member, HOME_RETRY_MS + 250, { kind: 'tick' }), 'report')).toMatchObject([{ home: 100 }]);
});

test('without a home, what a link has is not taken from the origin', () => {
  const member = fakeMember(2);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(2, [0]) });
  for (const _ of member.homes)
    happen(member, 0, { kind: 'tick' }, { kind: 'home lost', home: 100 + member.home.index });
  expect(only(happen(member, 250, { kind: 'tick' }), 'fetch')).toEqual([{ kind: 'fetch', run: { start: 1, end: 2 } }]);
});

test('a member that finds nothing for a second says what it lacks', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, answer(100), { kind: 'linked', link: 1, hello: helloWith(COUNT, []) });
  const [report] = only(happen(member, LACK_MS, { kind: 'tick' }), 'report');
  expect(listPieces(report?.report.lacking ?? new Uint32Array())).toHaveLength(COUNT);
});

test('what only a link has that failed twice is lacking, until it delivers', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, answer(100), { kind: 'linked', link: 1, hello: helloWith(COUNT, [0, 1]) });
  noteMiss(member.standing, 1, 0);
  const lackedAt = (now: number) => {
    const [report] = only(happen(member, now, { kind: 'tick' }, answer(100)), 'report');
    return listPieces(report?.report.lacking ?? new Uint32Array());
  };
  // So that nothing is asked of the link itself.
  for (const one of member.links.values()) one.busyUntil = Number.POSITIVE_INFINITY;
  expect(lackedAt(LACK_MS)).not.toContain(0);
  noteMiss(member.standing, 1, 1000);
  expect(lackedAt(10_000)).toContain(0);
  forgive(member.standing, 1);
  expect(lackedAt(30_000)).not.toContain(0);
});

test('a member with few links asks for more soon, but not where there are no others to be named', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, answer(100, [1]));
  expect(member.home.reportAt).toBe(LACK_MS);
  happen(member, 1, { kind: 'linked', link: 1, hello: helloWith(COUNT, []) }, answer(100, [1]));
  expect(member.home.reportAt).toBe(1 + REPORT_MS_MIN);
});

test('a home that was passed over has no say any more', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' }, { kind: 'home lost', home: 100 });
  expect(happen(member, 1, { kind: 'leased', home: 100, run: { start: 0, end: 2 } })).toEqual([]);
});
