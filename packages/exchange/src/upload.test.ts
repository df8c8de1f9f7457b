import { expect, test } from 'vitest';
import { fakeMember, happen, hashesOf, helloWith, only } from './fake-member.ts';
import { OFFER_MS, SLOTS } from './limits.ts';
import type { Member } from './member-state.ts';
import { newUplink } from './uplink.ts';
import type { MemberDecision, MemberId } from './words.ts';

const COUNT = 8;

function seed(changes: Parameters<typeof fakeMember>[1] = {}): Member {
  return fakeMember(COUNT, { sealed: hashesOf(COUNT), ...changes });
}

function link(member: Member, other: MemberId): MemberDecision[] {
  return happen(member, 0, { kind: 'linked', link: other, hello: helloWith(COUNT, []) });
}

/** Tells a member what its home says of the uplinks of others. */
function compare(member: Member, usualUplink: number): void {
  happen(member, 0, { kind: 'answered', home: 100, answer: { members: [], reportEveryMs: 1000, usualUplink } });
}

function ask(member: Member, now: number, other: MemberId, piece: number): MemberDecision[] {
  return happen(member, now, { kind: 'asked', link: other, piece, inFlight: 1 });
}

test('a free slot is offered to a link that lacks something', () => {
  expect(link(seed(), 1)).toEqual([{ kind: 'offer', to: 1, insists: false }]);
});

test('the slot goes to the link with the fewest transfers in flight', () => {
  const member = seed({ uplink: newUplink(1) });
  compare(member, 4);
  for (const other of [1, 2, 3]) link(member, other);
  expect(member.slots).toBe(1);
  happen(member, 1, { kind: 'have', link: 2, pieces: [0], inFlight: 3 });
  happen(member, 1, { kind: 'have', link: 3, pieces: [0], inFlight: 1 });
  ask(member, 1, 1, 4);
  const decisions = happen(
    member,
    2,
    { kind: 'sent', link: 1, piece: 4, isWhole: true },
    { kind: 'declined', link: 1, inFlight: 4 },
  );
  expect(only(decisions, 'offer')[0]?.to).toBe(1);
  expect(only(decisions, 'offer')[1]?.to).toBe(3);
});

test('among equals the one that was served least recently goes first', () => {
  const member = seed({ uplink: newUplink(1) });
  compare(member, 4);
  for (const other of [1, 2]) link(member, other);
  ask(member, 5, 1, 0);
  expect(only(happen(member, 9, { kind: 'sent', link: 1, piece: 0, isWhole: true }), 'offer')[0]?.to).toBe(2);
});

test('one that asks while all slots are taken is told that we are busy', () => {
  const member = seed();
  link(member, 1);
  for (let piece = 0; piece < SLOTS; piece++) expect(only(ask(member, 1, 1, piece), 'serve')).toHaveLength(1);
  link(member, 9);
  expect(ask(member, 1, 9, 0)).toEqual([{ kind: 'refuse', to: 9, piece: 0, why: 'busy' }]);
});

test('one that was offered a slot is served, with the word of the author', () => {
  const member = seed();
  link(member, 1);
  expect(only(ask(member, 1, 1, 3), 'serve')).toEqual([
    { kind: 'serve', to: 1, piece: 3, attestation: { hash: '3', author: 0 } },
  ]);
});

test('a link that took what it was offered is offered another slot, so that its next piece follows at once', () => {
  const member = seed();
  link(member, 1);
  expect(only(ask(member, 1, 1, 3), 'offer')).toEqual([{ kind: 'offer', to: 1, insists: false }]);
});

test('a piece that is not here is gone', () => {
  const member = fakeMember(COUNT);
  link(member, 1);
  expect(only(ask(member, 1, 1, 3), 'refuse')).toEqual([{ kind: 'refuse', to: 1, piece: 3, why: 'gone' }]);
});

test('an offer nobody answers is taken back', () => {
  const member = seed();
  link(member, 1);
  expect(member.offers).toBe(1);
  happen(member, OFFER_MS + 1, { kind: 'tick' });
  expect(member.offers).toBe(0);
});

test('an uplink much slower than usual has fewer slots, and any other the usual number', () => {
  const slotsOf = (own: number, usual: number) => {
    const member = seed({ uplink: newUplink(own) });
    compare(member, usual);
    return member.slots;
  };
  expect(slotsOf(10, 100)).toBe(1);
  expect(slotsOf(40, 100)).toBe(2);
  expect([slotsOf(60, 100), slotsOf(200, 100), slotsOf(0, 100), slotsOf(10, 0)]).toEqual([SLOTS, SLOTS, SLOTS, SLOTS]);
});

test('while answers are slow and mostly no, more is offered than there are free slots, and never twice as much', () => {
  const member = seed();
  for (let other = 1; other <= 12; other++) link(member, other);
  expect(member.offers).toBe(SLOTS);
  ask(member, 0, 1, 0);
  happen(member, 100, { kind: 'sent', link: 1, piece: 0, isWhole: true });
  for (let round = 1; round <= 20; round++) {
    const now = 100 * round;
    for (const { member: other, offeredAt } of [...member.links.values()]) {
      if (offeredAt !== undefined) happen(member, now, { kind: 'declined', link: other, inFlight: 0 });
      happen(member, now, { kind: 'have', link: other, pieces: [], inFlight: 0 });
    }
  }
  expect(member.offers).toBeGreaterThan(SLOTS);
  expect(member.offers).toBeLessThanOrEqual(2 * member.slots);
});

test('while answers come quickly, no more is offered than there are free slots, however often the answer is no', () => {
  const member = seed();
  for (let other = 1; other <= 12; other++) link(member, other);
  ask(member, 0, 1, 0);
  for (let now = 1; now <= 2000; now++) {
    if (now === 1000) happen(member, now, { kind: 'sent', link: 1, piece: 0, isWhole: true });
    for (const { member: other, offeredAt } of [...member.links.values()]) {
      if (offeredAt !== undefined) happen(member, now, { kind: 'declined', link: other, inFlight: 0 });
      happen(member, now, { kind: 'have', link: other, pieces: [], inFlight: 0 });
    }
    expect(member.uploading + member.offers).toBeLessThanOrEqual(SLOTS);
  }
});

test('a link that has enough is offered more only while most slots are free', () => {
  const member = seed();
  link(member, 1);
  const decisions = happen(member, 1, { kind: 'declined', link: 1, inFlight: 4 });
  expect(decisions).toEqual([{ kind: 'offer', to: 1, insists: true }]);
  expect(happen(member, 2, { kind: 'declined', link: 1, inFlight: 8 })).toEqual([]);
});

test('a link that is gone leaves its slots to others', () => {
  const member = seed();
  link(member, 1);
  ask(member, 1, 1, 0);
  happen(member, 2, { kind: 'unlinked', link: 1 });
  expect([member.uploading, member.offers]).toEqual([0, 0]);
});

test('a link has no fewer transfers in flight than we send it, whatever it says', () => {
  const member = seed();
  link(member, 1);
  for (const piece of [0, 1]) ask(member, 1, 1, piece);
  happen(member, 2, { kind: 'have', link: 1, pieces: [], inFlight: 0 });
  expect(member.links.get(1)?.inFlight).toBe(2);
});

test('the slots that one blob uses are not there for the next, which always has one', () => {
  const uplink = newUplink();
  const [first, second] = [seed({ uplink }), seed({ uplink })];
  link(first, 1);
  link(second, 1);
  for (let piece = 0; piece < SLOTS; piece++) ask(first, 1, 1, piece);
  expect(only(ask(second, 1, 1, 0), 'serve')).toHaveLength(1);
  expect(only(ask(second, 1, 1, 1), 'refuse')).toMatchObject([{ why: 'busy' }]);
});

test('where answers take long beside a piece, more pieces may be on their way', () => {
  const slotsAfter = (answerMs: number) => {
    const member = seed();
    link(member, 1);
    ask(member, answerMs, 1, 0);
    happen(member, answerMs + 200, { kind: 'sent', link: 1, piece: 0, isWhole: true });
    return member.slots;
  };
  expect(slotsAfter(200)).toBeGreaterThan(slotsAfter(1));
});
