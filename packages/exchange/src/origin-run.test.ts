import { planPieces } from '@drayage/core';
import { expect, test } from 'vitest';
import { arrival, fakeMember, happen, helloWith, only } from './fake-member.ts';
import { LEASE_QUIET_MS, ORIGIN_RETRY_MS, ORIGIN_SILENT_MS, PATIENCE_MS, SMALL_PATIENCE_MS } from './limits.ts';
import type { Member } from './member-state.ts';
import type { MemberDecision, MemberEvent, Run } from './words.ts';

const COUNT = 16;

function lease(start: number, end: number): MemberEvent {
  return { kind: 'leased', home: 100, run: { start, end } };
}

function fetches(decisions: readonly MemberDecision[]): Run[] {
  return only(decisions, 'fetch').map(({ run }) => run);
}

function arrive(member: Member, now: number, piece: number): MemberDecision[] {
  return happen(member, now, { kind: 'origin arrived', piece, hash: `${piece}` }, { kind: 'kept', piece });
}

test('a lease is fetched over one connection, and each piece reported as it lands', () => {
  const member = fakeMember(COUNT);
  expect(fetches(happen(member, 0, lease(2, 4)))).toEqual([{ start: 2, end: 4 }]);
  expect(only(arrive(member, 1, 2), 'landed')).toEqual([{ kind: 'landed', home: 100, piece: 2 }]);
  expect(member.authors[2]).toBe(member.self);
});

test('a lease that comes in the meantime waits its turn', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, lease(0, 2));
  expect(fetches(happen(member, 1, lease(8, 10)))).toEqual([]);
  expect(fetches([...arrive(member, 2, 0), ...arrive(member, 3, 1)])).toEqual([{ start: 8, end: 10 }]);
});

test('a leased piece is not asked of links', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, lease(3, 4), { kind: 'linked', link: 1, hello: helloWith(COUNT, [3]) });
  expect(only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'decline')).toHaveLength(1);
});

test('a piece that is here already is not fetched, but reported', () => {
  const member = fakeMember(COUNT, { held: new Uint32Array([1]) });
  const decisions = happen(member, 0, lease(0, 2));
  expect(only(decisions, 'landed')).toEqual([{ kind: 'landed', home: 100, piece: 0 }]);
  expect(fetches(decisions)).toEqual([{ start: 1, end: 2 }]);
});

test('when the origin fails, the same is asked a little later', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, lease(0, 2), { kind: 'origin failed' });
  expect(fetches(happen(member, ORIGIN_RETRY_MS - 1, { kind: 'tick' }))).toEqual([]);
  expect(fetches(happen(member, ORIGIN_RETRY_MS + 250, { kind: 'tick' }))).toEqual([{ start: 0, end: 2 }]);
});

test('while the origin fails, a leased piece comes from a link that has it, and counts as landed', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [1]) });
  happen(member, 0, lease(1, 3));
  expect(only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'request')).toEqual([]);
  happen(member, 2, { kind: 'origin failed' });
  expect(only(happen(member, 3, { kind: 'offered', link: 1, insists: false }), 'request')).toMatchObject([
    { piece: 1 },
  ]);
  const decisions = happen(member, 4, arrival(1, 1), { kind: 'kept', piece: 1 });
  expect(only(decisions, 'landed')).toEqual([{ kind: 'landed', home: 100, piece: 1 }]);
  expect(fetches(happen(member, 2000, { kind: 'tick' }))).toEqual([{ start: 2, end: 3 }]);
});

test('while the origin says nothing, a leased piece comes from a link that has it', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [1]) }, lease(1, 3));
  const asks = (now: number) => {
    const offer: MemberEvent = { kind: 'offered', link: 1, insists: false };
    return only(happen(member, now, { kind: 'tick' }, offer), 'request').map(({ piece }) => piece);
  };
  happen(member, 500, { kind: 'origin heard' });
  expect(asks(LEASE_QUIET_MS + 499)).toEqual([]);
  expect(asks(LEASE_QUIET_MS + 750)).toEqual([1]);
});

test('a member that the origin refuses gives its lease back, and takes no other', () => {
  const member = fakeMember(COUNT);
  const back = { kind: 'give back', home: 100, isRefused: true };
  expect(happen(member, 0, lease(0, 2), { kind: 'origin refused' })).toContainEqual(back);
  expect(happen(member, 1, lease(2, 4))).toEqual([back]);
});

test('a lease that is withdrawn is not fetched on', () => {
  const member = fakeMember(COUNT);
  expect(happen(member, 0, lease(0, 2), { kind: 'withdrawn', home: 100 })).toContainEqual({ kind: 'stop fetch' });
  expect(member.origin.queue).toEqual([]);
});

test('a holder that is asked says whether bytes come', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, lease(0, 2));
  const question: MemberEvent = { kind: 'questioned', home: 100 };
  expect(happen(member, ORIGIN_SILENT_MS - 1, question)).toMatchObject([{ hasProgress: true }]);
  expect(happen(member, ORIGIN_SILENT_MS, question)).toEqual([{ kind: 'answer', home: 100, hasProgress: false }]);
  expect(happen(member, ORIGIN_SILENT_MS + 100, { kind: 'origin heard' }, question)).toEqual([
    { kind: 'answer', home: 100, hasProgress: true },
  ]);
});

test('a holder whose pieces have all come says so, though its home may not have heard of them yet', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, lease(0, 1));
  arrive(member, 1, 0);
  expect(happen(member, 60_000, { kind: 'questioned', home: 100 })).toEqual([
    { kind: 'answer', home: 100, hasProgress: true },
  ]);
});

test('a blob of a few bytes that nobody delivers is soon taken from the origin', () => {
  const member = fakeMember(1, { plan: planPieces(739) });
  const answer: MemberEvent = {
    kind: 'answered',
    home: 100,
    answer: { members: [], reportEveryMs: 1000, usualUplink: 0 },
  };
  const fetchedAt: number[] = [];
  for (let now = 0; now <= PATIENCE_MS; now += 250)
    if (fetches(happen(member, now, { kind: 'tick' }, answer)).length > 0) fetchedAt.push(now);
  expect(fetchedAt).toHaveLength(1);
  expect(fetchedAt[0]).toBeLessThanOrEqual(2 * SMALL_PATIENCE_MS);
});

test('a member whom nothing reaches fetches for itself in the end, until others deliver again', () => {
  const member = fakeMember(COUNT);
  happen(
    member,
    0,
    { kind: 'tick' },
    { kind: 'answered', home: 100, answer: { members: [], reportEveryMs: 1000, usualUplink: 0 } },
  );
  const decisions: MemberDecision[] = [];
  for (let now = 250; now <= 2 * PATIENCE_MS + 250; now += 250) {
    const answer: MemberEvent = {
      kind: 'answered',
      home: 100,
      answer: { members: [], reportEveryMs: 1000, usualUplink: 0 },
    };
    decisions.push(...happen(member, now, { kind: 'tick' }, answer));
  }
  expect(fetches(decisions)).toEqual([{ start: 0, end: 1 }]);
  const later = Array.from({ length: 7 }, (_, piece) => arrive(member, 2 * PATIENCE_MS + 300 + piece, piece)).flat();
  expect(fetches(later)).toEqual([
    { start: 1, end: 3 },
    { start: 3, end: 7 },
    { start: 7, end: 15 },
  ]);
});
