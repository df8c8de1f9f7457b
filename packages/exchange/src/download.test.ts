import { expect, test } from 'vitest';
import { arrival, fakeMember, happen, helloWith, only } from './fake-member.ts';
import {
  BUSY_HOPELESS_MS,
  FIRST_BYTE_MS,
  HOPELESS_MS,
  IN_FLIGHT_MAX,
  IN_FLIGHT_USUAL,
  LATE_MS,
  ROOM_MIN,
  TICK_MS,
} from './limits.ts';
import type { Member } from './member-state.ts';
import { newUplink } from './uplink.ts';
import { leaveUplink } from './upload.ts';
import type { MemberDecision, MemberEvent } from './words.ts';

const COUNT = 32;
const ALL = Array.from({ length: COUNT }, (_, piece) => piece);

function linked(...links: readonly number[]): Member {
  const member = fakeMember(COUNT);
  for (const link of links) happen(member, 0, { kind: 'linked', link, hello: helloWith(COUNT, ALL) });
  return member;
}

function offer(member: Member, now: number, insists = false): MemberDecision[] {
  return happen(member, now, { kind: 'offered', link: 1, insists });
}

/** Ticks while bytes go on coming from the links that are said to be alive. */
function tickUntil(member: Member, from: number, to: number, alive: readonly number[]): MemberDecision[] {
  const decisions: MemberDecision[] = [];
  for (let now = from; now <= to; now += 250) {
    const heard = member.transfers
      .filter(({ link }) => alive.includes(link.member))
      .map(({ link, piece }): MemberEvent => ({ kind: 'heard', link: link.member, piece }));
    decisions.push(...happen(member, now, ...heard, { kind: 'tick' }));
  }
  return decisions;
}

test('an offer is used for one piece, and says how many are in flight', () => {
  const member = linked(1);
  expect(only(offer(member, 1), 'request')).toMatchObject([{ from: 1, inFlight: 1 }]);
});

test('an offer is declined when enough is in flight, unless the link insists', () => {
  const member = linked(1);
  for (let count = 0; count < IN_FLIGHT_USUAL; count++) offer(member, 1);
  expect(offer(member, 1)).toEqual([{ kind: 'decline', to: 1, inFlight: IN_FLIGHT_USUAL }]);
  for (let count = IN_FLIGHT_USUAL; count < IN_FLIGHT_MAX; count++) offer(member, 1, true);
  expect(offer(member, 1, true)).toEqual([{ kind: 'decline', to: 1, inFlight: IN_FLIGHT_MAX }]);
});

test('what comes for one blob leaves less room for the next, which always has some', () => {
  const uplink = newUplink();
  const [first, second] = [fakeMember(COUNT, { uplink }), fakeMember(COUNT, { uplink })];
  for (const member of [first, second]) happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  for (let count = 0; count < IN_FLIGHT_USUAL; count++) offer(first, 1);
  for (let count = 0; count < ROOM_MIN; count++) expect(only(offer(second, 1), 'request')).toHaveLength(1);
  expect(offer(second, 1)).toEqual([{ kind: 'decline', to: 1, inFlight: ROOM_MIN }]);
});

test('what was coming for a blob that ends leaves its room to the others', () => {
  const uplink = newUplink();
  const member = fakeMember(COUNT, { uplink });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  for (let count = 0; count < IN_FLIGHT_USUAL; count++) offer(member, 1);
  expect(uplink.coming).toBe(IN_FLIGHT_USUAL);
  leaveUplink(member, 2);
  expect(uplink.coming).toBe(0);
});

test('the same piece is not asked for twice', () => {
  const member = linked(1, 2);
  const pieces = [...offer(member, 1), ...happen(member, 1, { kind: 'offered', link: 2, insists: false })];
  expect(new Set(only(pieces, 'request').map(({ piece }) => piece)).size).toBe(2);
});

test('a transfer that does not begin in two seconds is asked for elsewhere', () => {
  const member = linked(1, 2);
  const [request] = only(offer(member, 0), 'request');
  const decisions = tickUntil(member, 250, FIRST_BYTE_MS + 250, []);
  expect(only(decisions, 'cancel')).toContainEqual({ kind: 'cancel', from: 1, piece: request?.piece });
  expect(member.open.some((bits) => bits !== 0)).toBe(true);
});

test('a host that is itself late takes nobody for stalled who may be as late', () => {
  const member = linked(1, 2);
  offer(member, 0);
  for (let now = 250; now < FIRST_BYTE_MS; now += 250) happen(member, now, { kind: 'tick', lateMs: 1000 });
  expect(only(happen(member, FIRST_BYTE_MS + 1, { kind: 'tick' }), 'cancel')).toEqual([]);
  expect(only(happen(member, 4 * 1000 + 1, { kind: 'tick' }), 'cancel')).toMatchObject([{ from: 1 }]);
});

test('where pieces usually take long, one that pauses is waited for longer', () => {
  const member = linked(1, 2);
  const [slow] = only(offer(member, 0), 'request');
  happen(member, FIRST_BYTE_MS, arrival(1, slow?.piece ?? 0));
  const [next] = only(offer(member, FIRST_BYTE_MS), 'request');
  const givenUpAt = 3 * FIRST_BYTE_MS;
  const isCancelled = (now: number) =>
    only(happen(member, now, { kind: 'tick' }), 'cancel').some(({ piece }) => piece === next?.piece);
  expect(isCancelled(givenUpAt)).toBe(false);
  expect(isCancelled(givenUpAt + TICK_MS)).toBe(true);
});

test('a link that stalls three times, with nothing delivered in between, is put in quarantine', () => {
  const member = linked(1, 2);
  const decisions: MemberDecision[] = [];
  for (let count = 0; count < 3; count++) {
    const from = count * (FIRST_BYTE_MS + 500);
    offer(member, from);
    offer(member, from);
    decisions.push(...tickUntil(member, from + 250, from + FIRST_BYTE_MS + 250, []));
  }
  expect(only(decisions, 'quarantine')).toMatchObject([{ member: 1, why: 'misses' }]);
  expect(only(decisions, 'unlink')).toMatchObject([{ link: 1, why: 'quarantine' }]);
});

test('the only link that has what is needed gets more patience', () => {
  const member = linked(1);
  const decisions: MemberDecision[] = [];
  for (let count = 0; count < 5; count++) {
    const from = count * (FIRST_BYTE_MS + 2500);
    offer(member, from);
    decisions.push(...tickUntil(member, from + 250, from + FIRST_BYTE_MS + 250, []));
  }
  expect(only(decisions, 'cancel').length).toBeGreaterThanOrEqual(5);
  expect(only(decisions, 'quarantine')).toEqual([]);
});

test('what a busy link delivers makes up for what it missed', () => {
  const member = linked(1);
  const decisions: MemberDecision[] = [];
  for (let count = 0; count < 6; count++) {
    const from = count * (FIRST_BYTE_MS + 500);
    offer(member, from);
    decisions.push(...tickUntil(member, from + 250, from + FIRST_BYTE_MS + 250, []));
    const [request] = only(offer(member, from + FIRST_BYTE_MS + 300), 'request');
    decisions.push(...happen(member, from + FIRST_BYTE_MS + 400, arrival(1, request?.piece ?? -1)));
  }
  expect(only(decisions, 'quarantine')).toEqual([]);
});

test('a transfer that dribbles is hedged, and the first to arrive ends the race', () => {
  const member = linked(1, 2);
  const [request] = only(offer(member, 0), 'request');
  const piece = request?.piece ?? -1;
  const decisions = tickUntil(member, 250, LATE_MS + 250, [1, 2]);
  expect(only(decisions, 'request')).toContainEqual({ kind: 'request', from: 2, piece, inFlight: 2 });
  const end = happen(member, LATE_MS + 300, arrival(2, piece));
  expect(only(end, 'keep')).toEqual([{ kind: 'keep', piece }]);
  expect(only(end, 'cancel')).toEqual([{ kind: 'cancel', from: 1, piece }]);
});

test('a transfer that takes for ever is given up, even when nobody else has the piece', () => {
  const member = linked(1);
  offer(member, 0);
  expect(only(tickUntil(member, 250, HOPELESS_MS - 250, [1]), 'cancel')).toEqual([]);
  expect(only(tickUntil(member, HOPELESS_MS, HOPELESS_MS + 500, [1]), 'cancel')).toHaveLength(1);
});

test('when nothing comes in, links are asked without waiting for an offer', () => {
  const member = linked(1, 2);
  const asked = only(happen(member, 250, { kind: 'tick' }), 'request').map(({ from }) => from);
  expect(asked).toEqual([1, 2]);
});

test('a link that is busy is left in peace for a while', () => {
  const member = linked(1);
  const [request] = only(happen(member, 250, { kind: 'tick' }), 'request');
  happen(member, 260, { kind: 'refused', link: 1, piece: request?.piece ?? -1, why: 'busy' });
  expect(only(happen(member, 500, { kind: 'tick' }), 'request')).toEqual([]);
  expect(only(happen(member, 750, { kind: 'tick' }), 'request')).toHaveLength(1);
});

test('a piece a link claimed and has not is not asked of it again', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [5]) });
  offer(member, 1);
  happen(member, 2, { kind: 'refused', link: 1, piece: 5, why: 'gone' });
  expect(only(offer(member, 3), 'decline')).toHaveLength(1);
});

test('a link that is always busy is in time taken for one that has nothing', () => {
  const member = fakeMember(4);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(4, [0, 1, 2, 3]) });
  const refuse = (now: number) => {
    const [request] = only(happen(member, now, { kind: 'offered', link: 1, insists: false }), 'request');
    happen(member, now, { kind: 'refused', link: 1, piece: request?.piece ?? -1, why: 'busy' });
  };
  refuse(0);
  refuse(BUSY_HOPELESS_MS - 1);
  expect(member.links.get(1)?.heldCount).toBe(4);
  refuse(BUSY_HOPELESS_MS);
  expect(member.links.get(1)?.heldCount).toBe(0);
  expect(member.standing.missedAt.size).toBe(0);
});

test('a piece that is taken back while it comes is asked for no more, and all of them are one miss', () => {
  const member = fakeMember(4);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(4, [0, 1, 2, 3]) });
  const asked = [0, 1, 2].flatMap(() =>
    only(happen(member, 0, { kind: 'offered', link: 1, insists: true }), 'request').map(({ piece }) => piece),
  );
  const decisions = happen(member, 10, { kind: 'lost', link: 1, pieces: [0, 1, 2, 3] });
  expect(only(decisions, 'cancel').map(({ piece }) => piece)).toEqual(asked);
  expect(member.standing.missedAt.get(1)).toEqual([10]);
});
