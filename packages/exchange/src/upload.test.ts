import { expect, test } from 'vitest';
import { fakeMember, happen, hashesOf, helloWith, only } from './fake-member.ts';
import { OFFER_MS, SLOTS } from './limits.ts';
import type { Member } from './member-state.ts';
import type { MemberDecision, MemberId } from './words.ts';

const COUNT = 8;

function seed(changes: Parameters<typeof fakeMember>[1] = {}): Member {
  return fakeMember(COUNT, { sealed: hashesOf(COUNT), ...changes });
}

function link(member: Member, other: MemberId, uplinkBytesPerSecond = 0): MemberDecision[] {
  return happen(member, 0, { kind: 'linked', link: other, hello: helloWith(COUNT, [], { uplinkBytesPerSecond }) });
}

function ask(member: Member, now: number, other: MemberId, piece: number): MemberDecision[] {
  return happen(member, now, { kind: 'asked', link: other, piece, inFlight: 1 });
}

test('a free slot is offered to a link that lacks something', () => {
  expect(link(seed(), 1)).toEqual([{ kind: 'offer', to: 1, insists: false }]);
});

test('the slot goes to the link with the fewest transfers in flight', () => {
  const member = seed({ uplinkBytesPerSecond: 1 });
  for (const other of [1, 2, 3]) link(member, other, 4);
  expect(member.slots).toBe(1);
  happen(member, 1, { kind: 'have', link: 2, pieces: [0], inFlight: 3 });
  happen(member, 1, { kind: 'have', link: 3, pieces: [0], inFlight: 1 });
  ask(member, 1, 1, 4);
  const decisions = happen(member, 2, { kind: 'sent', link: 1, piece: 4 }, { kind: 'declined', link: 1, inFlight: 4 });
  expect(only(decisions, 'offer')[0]?.to).toBe(1);
  expect(only(decisions, 'offer')[1]?.to).toBe(3);
});

test('among equals the one that was served least recently goes first', () => {
  const member = seed({ uplinkBytesPerSecond: 1 });
  for (const other of [1, 2]) link(member, other, 4);
  ask(member, 5, 1, 0);
  expect(only(happen(member, 9, { kind: 'sent', link: 1, piece: 0 }), 'offer')[0]?.to).toBe(2);
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

test('slots follow the uplink as compared with the links', () => {
  const slow = seed({ uplinkBytesPerSecond: 10 });
  link(slow, 1, 100);
  expect(slow.slots).toBe(1);
  const fast = seed({ uplinkBytesPerSecond: 200 });
  link(fast, 1, 100);
  expect(fast.slots).toBe(2 * SLOTS);
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
