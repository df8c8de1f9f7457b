import type { Digest } from '@drayage/core';

/** Holders kept for one digest: enough to spread the load, and no more, so that a base layer everybody has stays cheap. */
const HOLDERS_PER_DIGEST_MAX = 256;
const HOLDERS_PER_ANSWER_MAX = 32;
/** Digests one member may have on record here; what comes after pushes its own oldest out, nobody else's. */
const DIGESTS_PER_MEMBER_MAX = 20_000;
/** Of those, how many are pushed out at once: finding the oldest costs a walk past all that were oldest before. */
const PUSHED_OUT = 1000;
const DIGESTS_MAX = 500_000;
const RECORD_LIFE_MS = 24 * 3600 * 1000;

/** Who asks: near holders are named first. */
interface Asker {
  readonly member: string;
  readonly zone: string | undefined;
}

/** What a home knows: which member has which blob. Every claim is bounded, expires, and binds nobody. */
export interface Holders {
  announce(member: string, digests: readonly Digest[]): void;
  withdraw(member: string, digests: readonly Digest[]): void;
  /** The member is gone, and all it claimed with it. */
  forget(member: string): void;
  /** Some holders, at random but those of the asker's zone first, and never the asker. */
  find(digest: Digest, asker: Asker): readonly string[];
  size(): number;
}

export interface HoldersParts {
  readonly now: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
  readonly zoneOf: (member: string) => string | undefined;
  /** Its claims are kept for when it returns, and not named meanwhile. */
  readonly isAway: (member: string) => boolean;
}

export function keepHolders({ now, random, zoneOf, isAway }: HoldersParts): Holders {
  /** When each holder's claim ends, by digest. The oldest claim comes first. */
  const holders = new Map<Digest, Map<string, number>>();
  /** What each member claims, the oldest first. */
  const claims = new Map<string, Set<Digest>>();

  function drop(member: string, digest: Digest): void {
    const own = claims.get(member);
    own?.delete(digest);
    if (own?.size === 0) claims.delete(member);
    const known = holders.get(digest);
    known?.delete(member);
    if (known?.size === 0) holders.delete(digest);
  }

  function add(member: string, digest: Digest): void {
    drop(member, digest);
    const own = claims.get(member) ?? new Set();
    const known = holders.get(digest) ?? new Map<string, number>();
    if (own.size >= DIGESTS_PER_MEMBER_MAX) for (const oldest of first(own, PUSHED_OUT)) drop(member, oldest);
    if (known.size >= HOLDERS_PER_DIGEST_MAX) for (const oldest of first(known.keys(), 1)) drop(oldest, digest);
    if (!holders.has(digest) && holders.size >= DIGESTS_MAX) return;
    claims.set(member, own.add(digest));
    holders.set(digest, known.set(member, now() + RECORD_LIFE_MS));
  }

  return {
    announce(member, digests) {
      for (const digest of digests) add(member, digest);
    },
    withdraw(member, digests) {
      for (const digest of digests) drop(member, digest);
    },
    forget(member) {
      for (const digest of [...(claims.get(member) ?? [])]) drop(member, digest);
    },
    find(digest, asker) {
      const found: string[] = [];
      for (const [member, until] of holders.get(digest) ?? []) {
        if (until <= now()) drop(member, digest);
        else if (member !== asker.member && !isAway(member)) found.push(member);
      }
      const isNear = (member: string) => asker.zone !== undefined && zoneOf(member) === asker.zone;
      const mixed = shuffled(found, random);
      return [...mixed.filter(isNear), ...mixed.filter((member) => !isNear(member))].slice(0, HOLDERS_PER_ANSWER_MAX);
    },
    size: () => holders.size,
  };
}

function first<Item>(items: Iterable<Item>, count: number): readonly Item[] {
  return Iterator.from(items).take(count).toArray();
}

function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const item = mixed[last] as Item;
    mixed[last] = mixed[other] as Item;
    mixed[other] = item;
  }
  return mixed;
}
