import { type Digest, describe, Failure, parseDigest, type Report } from '@drayage/core';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Contact, parseContact } from './contact.ts';
import type { Answerer, Control } from './control.ts';
import { type Holders, keepHolders } from './holders.ts';
import type { Routing } from './routing.ts';

/** Members that keep the record of one digest. */
const HOMES = 3;
const BATCH_DIGESTS_MAX = 1000;
/** A home that says nothing for this long is passed over. */
const HOME_WAIT_MS = 200;
const REFERRALS_MAX = 2;
const CONTACTS_MAX = 20_000;
const TELL_WAIT_MS = 5000;
const TELLS_AT_ONCE = 8;

export interface DirectoryParts {
  readonly self: Contact;
  readonly routing: Routing;
  readonly control: () => Control;
  readonly report: Report;
  readonly now: () => number;
  readonly random: () => number;
}

/** Who holds which blob: each digest's record is kept by the three members nearest to it. */
export interface Directory {
  /** What others may ask of this member. */
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** Tells the homes that these blobs can be had here. Homes that do not answer are told the next time. */
  announce(digests: readonly Digest[], signal: AbortSignal): Promise<void>;
  withdraw(digests: readonly Digest[], signal: AbortSignal): Promise<void>;
  /** Members that say they hold the blob; none when no home knows, or none answers. */
  find(digest: Digest, signal: AbortSignal): Promise<readonly Contact[]>;
  /** The same from what is on record here alone. */
  known(digest: Digest): readonly Contact[];
  /** The homes of a digest as this member sees them, the nearest first. */
  homes(digest: Digest): readonly string[];
  forget(member: string): void;
}

export function openDirectory(parts: DirectoryParts): Directory {
  const { self, routing, now, random } = parts;
  const contacts = new Map<string, Contact>([[self.member, self]]);
  const holders = keepHolders({ now, random, zoneOf: (member) => contacts.get(member)?.zone });
  const homes = (digest: Digest) => routing.nearest(digest, HOMES);
  const telling: Telling = { ...parts, holders, homes };

  function note(contact: Contact): void {
    if (contacts.size >= CONTACTS_MAX && !contacts.has(contact.member)) return;
    if (contact.member !== self.member) contacts.set(contact.member, contact);
  }

  function lookUp(digest: Digest, member: string): FindAnswer {
    const zone = contacts.get(member)?.zone;
    const found = holders.find(digest, { member, zone }).map((holder) => contacts.get(holder));
    const nearer = homes(digest).filter((home) => home !== member && routing.isNearer(digest, home, self.member));
    return { holders: found.filter((contact) => contact !== undefined), nearer };
  }

  async function find(digest: Digest, signal: AbortSignal): Promise<readonly Contact[]> {
    const found = new Map<string, Contact>();
    const asked = new Set<string>();
    const queue = [...homes(digest)];
    let referrals = 0;
    for (let home = queue.shift(); home !== undefined; home = queue.shift()) {
      if (asked.has(home)) continue;
      asked.add(home);
      const answer =
        home === self.member ? lookUp(digest, self.member) : await askHome(parts, { home, digest }, signal);
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
    answerers: answerersOf({ holders, note, lookUp }),
    announce: (digests, signal) => tellHomes(telling, { kind: 'announce', digests }, signal),
    withdraw: (digests, signal) => tellHomes(telling, { kind: 'withdraw', digests }, signal),
    find,
    known: (digest) => [...lookUp(digest, self.member).holders],
    homes,
    forget(member) {
      holders.forget(member);
      contacts.delete(member);
    },
  };
}

interface Telling extends DirectoryParts {
  readonly holders: Holders;
  readonly homes: (digest: Digest) => readonly string[];
}

interface News {
  readonly kind: 'announce' | 'withdraw';
  readonly digests: readonly Digest[];
}

/** One message for many digests: a host with five hundred layers sends dozens, not thousands. */
async function tellHomes(telling: Telling, { kind, digests }: News, signal: AbortSignal): Promise<void> {
  const pairs = digests.flatMap((digest) => telling.homes(digest).map((home) => ({ home, digest })));
  const byHome = Map.groupBy(pairs, ({ home }) => home);
  const batches = [...byHome].flatMap(([home, entries]) =>
    inBatches(entries.map(({ digest }) => digest)).map((batch) => ({ home, batch })),
  );
  const next = batches.values();
  const worker = async () => {
    for (const { home, batch } of next) await tellHome(telling, home, { kind, digests: batch }, signal);
  };
  await Promise.all(Array.from({ length: TELLS_AT_ONCE }, worker));
}

async function tellHome(
  { self, control, holders, report }: Telling,
  home: string,
  { kind, digests }: News,
  signal: AbortSignal,
): Promise<void> {
  if (home === self.member) return void holders[kind](self.member, digests);
  const late = AbortSignal.any([signal, AbortSignal.timeout(TELL_WAIT_MS)]);
  try {
    await control().ask(peerIdFromString(home), kind, { contact: self, digests }, late);
  } catch (error) {
    if (signal.aborted) throw error;
    report({ kind: 'error', where: 'directory', problem: `home ${home} could not be told: ${describe(error)}` });
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
}

function answerersOf({ holders, note, lookUp }: Answering): Readonly<Record<string, Answerer>> {
  const take = (kind: 'announce' | 'withdraw') => (member: string, body: unknown) => {
    const { contact, digests } = (body ?? {}) as Partial<Record<string, unknown>>;
    const own = parseContact(contact);
    // A member speaks for itself alone.
    if (!own || own.member !== member) throw new Failure('denied', 'a member can only speak for itself');
    note(own);
    holders[kind](member, digestsOf(digests));
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
    const answer = await control().ask(peerIdFromString(home), 'find', { digest }, late);
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

function inBatches(digests: readonly Digest[]): readonly (readonly Digest[])[] {
  return Array.from({ length: Math.ceil(digests.length / BATCH_DIGESTS_MAX) }, (_, at) =>
    digests.slice(at * BATCH_DIGESTS_MAX, (at + 1) * BATCH_DIGESTS_MAX),
  );
}
