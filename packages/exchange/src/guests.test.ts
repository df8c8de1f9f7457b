import { expect, test } from 'vitest';
import { evenChance } from './fake-member.ts';
import { addGuest, chooseFetcher, type Guest, nameMembers, newGuests, noteUsualUplink, removeGuest } from './guests.ts';
import { MEMBERS_NAMED_FAR, MEMBERS_NAMED_MAX } from './limits.ts';

/** Chance that goes round evenly. */
function roundChance(): () => number {
  let turn = 0;
  return () => (turn++ * 0.618) % 1;
}

function invite(count: number, zoneOf: (member: number) => string | undefined): ReturnType<typeof newGuests> {
  const guests = newGuests();
  for (let member = 0; member < count; member++) {
    addGuest(guests, { member, zone: zoneOf(member), uplinkBytesPerSecond: member % 2 }, 0);
  }
  return guests;
}

function guestOf(guests: ReturnType<typeof newGuests>, member: number): Guest {
  const guest = guests.byId.get(member);
  if (!guest) throw new Error(`no guest ${member}`);
  return guest;
}

test('a joiner is named others at random, never itself', () => {
  const guests = invite(100, () => undefined);
  const named = nameMembers(guests, guestOf(guests, 5), roundChance());
  expect(named.length).toBeGreaterThan(MEMBERS_NAMED_MAX - 2);
  expect(named).not.toContain(5);
  expect(new Set(named).size).toBe(named.length);
});

test('most of those named are of the same zone, some are not', () => {
  const guests = invite(100, (member) => `zone-${member % 2}`);
  const named = nameMembers(guests, guestOf(guests, 4), roundChance());
  expect(named.filter((member) => member % 2 === 1)).toHaveLength(MEMBERS_NAMED_FAR);
});

test('a member that left is not named', () => {
  const guests = invite(3, () => undefined);
  removeGuest(guests, guestOf(guests, 1));
  expect(nameMembers(guests, guestOf(guests, 0), evenChance)).toEqual([2]);
});

test('the fetcher is one with a fast uplink that kept its word', () => {
  const guests = invite(4, () => undefined);
  noteUsualUplink(guests, evenChance);
  guestOf(guests, 1).lapses = 1;
  expect(chooseFetcher(guests, evenChance)?.member).toBe(3);
});

test('one that is fetching, complete or refused is not chosen', () => {
  const guests = invite(3, () => undefined);
  guestOf(guests, 0).leased = 1;
  guestOf(guests, 1).isComplete = true;
  guestOf(guests, 2).isRefused = true;
  expect(chooseFetcher(guests, evenChance)).toBeUndefined();
});
