import { usualAnswer } from './answers.ts';
import {
  GUESTS_MAX,
  MEMBERS_NAMED_FAR,
  MEMBERS_NAMED_MAX,
  REPORT_MS_MIN,
  REPORTS_PER_SECOND,
  UPLINK_LIKE_FACTOR,
  UPLINKS_SAMPLED,
} from './limits.ts';
import type { MemberId } from './words.ts';

/** Draws for one member to be picked, at most: the same one may come up again. */
const SAMPLE_TRIES = 8;

/** What a home knows of a member of the blob's swarm. */
export interface Guest {
  readonly member: MemberId;
  readonly zone: string | undefined;
  /** 0 while it is not known. */
  uplinkBytesPerSecond: number;
  heardAt: number;
  isComplete: boolean;
  /** Pieces leased to it that have not landed. */
  leased: number;
  leasedAt: number;
  progressAt: number;
  /** When it was sent a lease that it may not have heard of; undefined when there is none. */
  toldAt: number | undefined;
  /** When it was asked after its lease; undefined when no question is open. */
  questionedAt: number | undefined;
  /** Pieces a second it fetched from the origin; 0 when unknown. */
  pace: number;
  /** It is not to fetch: the origin will not have it, or it was caught in a lie. */
  isRefused: boolean;
  /** How often it did not do what its lease was for. */
  lapses: number;
  /** Who says that it lied. */
  readonly accusers: Set<MemberId>;
  /** Of how many it said so. */
  accused: number;
  /** Its place in the list of its zone. */
  place: number;
}

/** The members of one blob's swarm that a home knows, by zone. */
export interface Guests {
  /** How long members usually take to answer; 0 while it is not known. */
  answerMs: number;
  /** The uplink of a usual member; 0 while it is not known. */
  usualUplink: number;
  readonly byId: Map<MemberId, Guest>;
  readonly zones: Map<string | undefined, Guest[]>;
}

export function newGuests(): Guests {
  return { answerMs: 0, usualUplink: 0, byId: new Map(), zones: new Map() };
}

/** How often each is asked to report, in ms. */
export function reportEvery({ byId }: Guests): number {
  return Math.max(REPORT_MS_MIN, (1000 * byId.size) / REPORTS_PER_SECOND);
}

export function noteAnswer(guests: Guests, askedAt: number | undefined, now: number): void {
  if (askedAt !== undefined) guests.answerMs = usualAnswer(guests.answerMs, now - askedAt);
}

/** Undefined when there are too many already. */
export function addGuest(
  guests: Guests,
  facts: Pick<Guest, 'member' | 'zone' | 'uplinkBytesPerSecond'>,
  now: number,
): Guest | undefined {
  if (guests.byId.size >= GUESTS_MAX) return undefined;
  const zone = guests.zones.get(facts.zone) ?? [];
  guests.zones.set(facts.zone, zone);
  const guest: Guest = {
    ...facts,
    heardAt: now,
    isComplete: false,
    leased: 0,
    leasedAt: now,
    progressAt: now,
    toldAt: undefined,
    questionedAt: undefined,
    pace: 0,
    isRefused: false,
    lapses: 0,
    accusers: new Set(),
    accused: 0,
    place: zone.length,
  };
  zone.push(guest);
  guests.byId.set(facts.member, guest);
  return guest;
}

export function removeGuest(guests: Guests, guest: Guest): void {
  guests.byId.delete(guest.member);
  const zone = guests.zones.get(guest.zone);
  const last = zone?.pop();
  if (zone && last && last !== guest) {
    zone[guest.place] = last;
    last.place = guest.place;
  }
  if (zone?.length === 0) guests.zones.delete(guest.zone);
}

/** Members to link to, at random: most of the same zone, some of others, whoever is to come first before all. */
export function nameMembers(
  guests: Guests,
  guest: Guest,
  random: () => number,
  first: Iterable<MemberId> = [],
): MemberId[] {
  const own = guests.zones.get(guest.zone) ?? [];
  const others = [...guests.zones.values()].filter((zone) => zone !== own);
  const far = others.length === 0 ? [] : sample(others, MEMBERS_NAMED_MAX, random);
  const near = sample([own], MEMBERS_NAMED_MAX - Math.min(far.length, MEMBERS_NAMED_FAR), random);
  const named = new Set<MemberId>(first);
  // One of another zone early on: a zone that keeps to itself would wait for its own leases.
  for (const member of [...near.slice(0, 4), ...far.slice(0, 2), ...near.slice(4), ...far.slice(2)]) named.add(member);
  named.delete(guest.member);
  return [...named].slice(0, MEMBERS_NAMED_MAX);
}

/** Up to `count` members at random, from any of the lists. */
function sample(lists: readonly (readonly Guest[])[], count: number, random: () => number): MemberId[] {
  const total = lists.reduce((sum, list) => sum + list.length, 0);
  if (total <= 2 * count) return shuffled(lists.flat(), random).slice(0, count);
  const picked = new Set<MemberId>();
  for (let tries = 0; picked.size < count && tries < SAMPLE_TRIES * count; tries++) {
    let place = Math.floor(random() * total);
    for (const list of lists) {
      const guest = list[place];
      if (guest) picked.add(guest.member);
      if (guest) break;
      place -= list.length;
    }
  }
  return [...picked];
}

function shuffled(guests: readonly Guest[], random: () => number): MemberId[] {
  const members = guests.map(({ member }) => member);
  for (let last = members.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const swap = members[last];
    const taken = members[other];
    if (swap !== undefined && taken !== undefined) [members[last], members[other]] = [taken, swap];
  }
  return members;
}

/** Somebody to fetch from the origin: of a few at random the most reliable, then the fastest, that is not at it already. */
export function chooseFetcher(guests: Guests, random: () => number): Guest | undefined {
  let best: Guest | undefined;
  for (const member of sample([...guests.zones.values()], 2 * MEMBERS_NAMED_MAX, random)) {
    const guest = guests.byId.get(member);
    if (!guest || guest.isRefused || guest.leased > 0 || guest.isComplete) continue;
    if (!best || goesBefore(guests, guest, best)) best = guest;
  }
  return best;
}

function goesBefore(guests: Guests, guest: Guest, other: Guest): boolean {
  if (guest.lapses !== other.lapses) return guest.lapses < other.lapses;
  return promiseOf(guests, guest) > promiseOf(guests, other);
}

/** Who is known to be no slower than usual comes first, then who may be. */
function promiseOf(guests: Guests, guest: Guest): number {
  if (guest.uplinkBytesPerSecond === 0 || guests.usualUplink === 0) return 1;
  return isSlow(guests, guest) ? 0 : 2;
}

/** Known to be much slower than usual. */
export function isSlow({ usualUplink: usual }: Guests, { uplinkBytesPerSecond: own }: Guest): boolean {
  return own > 0 && UPLINK_LIKE_FACTOR * own < usual;
}

/** The uplink in the middle of some members at random; 0 while none is known. */
export function noteUsualUplink(guests: Guests, random: () => number): void {
  const known = sample([...guests.zones.values()], UPLINKS_SAMPLED, random)
    .map((member) => guests.byId.get(member)?.uplinkBytesPerSecond ?? 0)
    .filter((uplink) => uplink > 0)
    .sort((a, b) => a - b);
  guests.usualUplink = known[known.length >>> 1] ?? 0;
}
