import { setTimeout } from 'node:timers/promises';
import { type Digest, Failure, parseDigest } from '@drayage/core';
import { type Allowances, keepAllowances } from './allowance.ts';
import type { Approach } from './approach.ts';
import { type Contact, parseContact } from './contact.ts';
import type { Answerer, Control } from './control.ts';
import { type Holders, keepHolders } from './holders.ts';
import type { Presence } from './presence.ts';
import type { Routing } from './routing.ts';
import { keepSilence } from './silence.ts';

/** Members that keep the record of one digest. */
export const HOMES = 3;
const BATCH_DIGESTS_MAX = 1000;
/** A home that says nothing for this long is passed over. */
const HOME_WAIT_MS = 200;
/** What one member may announce or withdraw in a second, and at once when it was quiet: all it can have on record, twice. */
const RECORDS_PER_SECOND_MAX = 1000;
const RECORDS_AT_ONCE_MAX = 40_000;
const REFUSAL_MS = 500;
const REFERRALS_MAX = 2;
const CONTACTS_MAX = 20_000;
const TELL_WAIT_MS = 5000;
const TELLS_AT_ONCE = 16;

export interface DirectoryParts {
  readonly self: Contact;
  readonly routing: Pick<Routing, 'nearest' | 'isNearer'>;
  readonly presence: Pick<Presence, 'isAway'>;
  readonly approach: Approach['approach'];
  readonly control: () => Control;
  readonly now: () => number;
  readonly random: () => number;
}

/** Who holds which blob: each digest's record is kept by the three members nearest to it. */
export interface Directory {
  /** What others may ask of this member. */
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** Tells the homes that these blobs can be had here, and answers with what was told: who does not answer is left out. */
  announce(digests: readonly Digest[], signal: AbortSignal): Promise<readonly Notice[]>;
  withdraw(digests: readonly Digest[], signal: AbortSignal): Promise<readonly Notice[]>;
  /** The same for homes chosen by the caller. */
  tell(kind: News, notices: readonly Notice[], signal: AbortSignal): Promise<readonly Notice[]>;
  /** Members that say they hold the blob; none when no home knows, or none answers. */
  find(digest: Digest, signal: AbortSignal): Promise<readonly Contact[]>;
  /** The same from what is on record here alone. */
  known(digest: Digest): readonly Contact[];
  /** The homes of a digest as this member sees them, and `more` members it has heard of; the nearest first. */
  homes(digest: Digest, more?: readonly string[]): readonly string[];
  /** Homes that are nearer to the digest than this member, but for the one who asks. */
  nearer(digest: Digest, asker: string): readonly string[];
  forget(member: string): void;
}

export type News = 'announce' | 'withdraw';

/** What one home is told of. */
export interface Notice {
  readonly home: string;
  readonly digests: readonly Digest[];
}

export function openDirectory(parts: DirectoryParts): Directory {
  const { self, presence, now, random } = parts;
  const contacts = new Map<string, Contact>([[self.member, self]]);
  const holders = keepHolders({ now, random, zoneOf: (member) => contacts.get(member)?.zone, isAway: presence.isAway });
  const { homes, nearer: nearerThanUs } = homesBy(parts);
  const silence = keepSilence(now);
  const records = keepAllowances({ perSecond: RECORDS_PER_SECOND_MAX, most: RECORDS_AT_ONCE_MAX, now });
  const telling: Telling = { ...parts, holders };
  const notices = (digests: readonly Digest[]) => noticesOf(digests, (digest) => homes(digest));

  function note(contact: Contact): void {
    if (contacts.size >= CONTACTS_MAX && !contacts.has(contact.member)) return;
    if (contact.member !== self.member) contacts.set(contact.member, contact);
  }

  function lookUp(digest: Digest, member: string): FindAnswer {
    const zone = contacts.get(member)?.zone;
    const found = holders.find(digest, { member, zone }).map((holder) => contacts.get(holder));
    return { holders: found.filter((contact) => contact !== undefined), nearer: nearerThanUs(digest, member) };
  }

  /** Undefined when the home does not answer in time. */
  async function ask(home: string, digest: Digest, signal: AbortSignal): Promise<FindAnswer | undefined> {
    if (home === self.member) return lookUp(digest, self.member);
    const answer = await askHome(parts, { home, digest }, signal);
    silence.note(home, answer === undefined);
    return answer;
  }

  async function find(digest: Digest, signal: AbortSignal): Promise<readonly Contact[]> {
    const nearest = await parts.approach(digest, signal);
    const found = new Map<string, Contact>();
    const asked = new Set<string>();
    const queue = silence.last(nearest);
    let referrals = 0;
    let isAnswered = false;
    for (let home = queue.shift(); home !== undefined; home = queue.shift()) {
      // What a silent home could add is not worth the wait.
      if (asked.has(home) || (isAnswered && silence.isSilent(home))) continue;
      asked.add(home);
      const answer = await ask(home, digest, signal);
      isAnswered ||= answer !== undefined && home !== self.member;
      for (const contact of answer?.holders ?? []) found.set(contact.member, contact);
      if (found.size > 0) break;
      // Somebody nearer is known there: it is asked next.
      for (const nearer of answer?.nearer ?? [])
        if (!asked.has(nearer) && referrals++ < REFERRALS_MAX) queue.unshift(nearer);
    }
    found.delete(self.member);
    for (const contact of found.values()) note(contact);
    return [...found.values()];
  }

  return {
    answerers: answerersOf({ holders, note, lookUp, records }),
    announce: (digests, signal) => tellHomes(telling, 'announce', notices(digests), signal),
    withdraw: (digests, signal) => tellHomes(telling, 'withdraw', notices(digests), signal),
    tell: (kind, chosen, signal) => tellHomes(telling, kind, chosen, signal),
    find,
    known: (digest) => [...lookUp(digest, self.member).holders],
    homes,
    nearer: nearerThanUs,
    forget(member) {
      holders.forget(member);
      contacts.delete(member);
    },
  };
}

function homesBy({ self, routing }: DirectoryParts): Pick<Directory, 'homes' | 'nearer'> {
  const homes: Directory['homes'] = (digest, more = []) => {
    const nearest = routing.nearest(digest, HOMES);
    if (more.length === 0) return nearest;
    const all = [...new Set([...nearest, ...more])];
    return all.sort((one, other) => (routing.isNearer(digest, one, other) ? -1 : 1)).slice(0, HOMES);
  };
  return {
    homes,
    nearer: (digest, asker) =>
      homes(digest).filter((home) => home !== asker && routing.isNearer(digest, home, self.member)),
  };
}

interface Telling extends DirectoryParts {
  readonly holders: Holders;
}

/** One notice a home, whatever the number of digests: a host with five hundred layers sends dozens, not thousands. */
function noticesOf(digests: readonly Digest[], homes: (digest: Digest) => readonly string[]): readonly Notice[] {
  const pairs = digests.flatMap((digest) => homes(digest).map((home) => ({ home, digest })));
  return [...Map.groupBy(pairs, ({ home }) => home)].map(([home, entries]) => ({
    home,
    digests: entries.map(({ digest }) => digest),
  }));
}

/** Answers with what was told. */
async function tellHomes(
  telling: Telling,
  kind: News,
  notices: readonly Notice[],
  signal: AbortSignal,
): Promise<readonly Notice[]> {
  const told: Notice[] = [];
  const next = notices.flatMap(inBatches).values();
  const worker = async () => {
    for (const notice of next) if (await tellHome(telling, kind, notice, signal)) told.push(notice);
  };
  await Promise.all(Array.from({ length: TELLS_AT_ONCE }, worker));
  return told;
}

async function tellHome(
  { self, control, holders }: Telling,
  kind: News,
  { home, digests }: Notice,
  signal: AbortSignal,
): Promise<boolean> {
  if (home === self.member) {
    holders[kind](self.member, digests);
    return true;
  }
  const late = AbortSignal.any([signal, AbortSignal.timeout(TELL_WAIT_MS)]);
  try {
    await control().ask(home, kind, { contact: self, digests }, late);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

interface FindAnswer {
  readonly holders: readonly Contact[];
  /** Members that are nearer to the digest than the one that answers. */
  readonly nearer: readonly string[];
}

interface Answering {
  readonly holders: Holders;
  readonly note: (contact: Contact) => void;
  readonly lookUp: (digest: Digest, member: string) => FindAnswer;
  readonly records: Allowances;
}

function answerersOf({ holders, note, lookUp, records }: Answering): Readonly<Record<string, Answerer>> {
  const take = (kind: News) => async (member: string, body: unknown) => {
    const { contact, digests } = (body ?? {}) as Partial<Record<string, unknown>>;
    const own = parseContact(contact);
    // A member speaks for itself alone.
    if (!own || own.member !== member) throw new Failure('denied', 'a member can only speak for itself');
    // Before anything is looked at: what is refused costs us next to nothing.
    if (!records.take(member, Array.isArray(digests) ? digests.length : 1)) {
      // Its next question waits meanwhile: a flood is slowed down at its source, and leaves no garbage here.
      await setTimeout(REFUSAL_MS);
      throw new Failure('denied', `more than ${RECORDS_PER_SECOND_MAX} records a second are not taken`);
    }
    const claimed = digestsOf(digests);
    note(own);
    holders[kind](member, claimed);
  };
  return {
    announce: take('announce'),
    withdraw: take('withdraw'),
    find(member, body) {
      const { digest } = (body ?? {}) as Partial<Record<string, unknown>>;
      const [wanted] = digestsOf([digest]);
      if (!wanted) throw new Failure('digest_invalid', 'that is no digest');
      return lookUp(wanted, member);
    },
  };
}

function digestsOf(value: unknown): readonly Digest[] {
  if (!Array.isArray(value) || value.length > BATCH_DIGESTS_MAX)
    throw new Failure('digest_invalid', 'too many digests, or none');
  return value.map((text) => {
    const digest = typeof text === 'string' ? parseDigest(text) : undefined;
    if (!digest) throw new Failure('digest_invalid', 'that is no digest');
    return digest;
  });
}

interface Search {
  readonly home: string;
  readonly digest: Digest;
}

/** Undefined when the home does not answer in time, or answers nonsense. */
async function askHome(
  { control }: DirectoryParts,
  { home, digest }: Search,
  signal: AbortSignal,
): Promise<FindAnswer | undefined> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(HOME_WAIT_MS)]);
  try {
    const answer = await control().ask(home, 'find', { digest }, late);
    const { holders, nearer } = (answer ?? {}) as Partial<Record<string, unknown>>;
    return {
      holders: (Array.isArray(holders) ? holders : []).map(parseContact).filter((contact) => contact !== undefined),
      nearer: (Array.isArray(nearer) ? nearer : [])
        .slice(0, HOMES)
        .filter((member) => parseContact({ member, links: [] }) !== undefined),
    };
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  }
}

function inBatches({ home, digests }: Notice): readonly Notice[] {
  return Array.from({ length: Math.ceil(digests.length / BATCH_DIGESTS_MAX) }, (_, at) => ({
    home,
    digests: digests.slice(at * BATCH_DIGESTS_MAX, (at + 1) * BATCH_DIGESTS_MAX),
  }));
}
