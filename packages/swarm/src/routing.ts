import { createHash, randomInt } from 'node:crypto';
import type { Digest } from '@drayage/core';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { SwarmNode } from './node.ts';

/** Who is near a key, as far as this member knows. Kademlia's routing keeps the members near us complete and others thin. */
export interface Routing {
  /** The nearest members to the digest's key, ourselves included, the nearest first. */
  nearest(digest: Digest, count: number): readonly string[];
  /** Members around another one: the nearest, and others at random up to so many. */
  around(member: string, count: number, nearest: number): readonly string[];
  /** Of these members, those nearest to us. */
  nearestToUs(among: Iterable<string>, count: number): ReadonlySet<string>;
  /** We have met this member. */
  meet(member: string): void;
  /** Equal for those who know the same members. */
  view(): number;
  /** Takes in connected members that are not known: meeting them may have failed while one of us was busy. */
  adopt(signal: AbortSignal): Promise<void>;
  /** How many members are known. */
  size(): number;
  /** Whether the first lies nearer to the digest's key than the second. */
  isNearer(digest: Digest, one: string, other: string): boolean;
  /** The member is gone: until it is met again, it is near nothing. */
  forget(member: PeerId): Promise<void>;
  /** Calls back with each member that is known from now on, until disposed. */
  watch(met: (member: string) => void): Disposable;
}

/** The part of kad-dht that its type leaves out. */
interface RoutingTable extends EventTarget {
  readonly size: number;
  closestPeers(key: Uint8Array, options: { readonly count: number }): PeerId[];
  add(member: PeerId, options: { readonly signal: AbortSignal }): Promise<void>;
  remove(member: PeerId): Promise<void>;
  /** Asks a new contact whether it lives. */
  readonly kb: { verify(contact: { readonly peerId: PeerId }, options: unknown): Promise<boolean> };
}

/** Where a member stands among the keys. */
interface Place {
  readonly member: string;
  readonly key: Buffer;
  /** The first bits of the key: they tell nearly all members apart. */
  readonly head: number;
}

const KEYS_KEPT_MAX = 8192;
const KEY_BYTES = 32;
/** At once: in a very large swarm there is no room for all. */
const ADOPTED_MAX = 16;
const TABLE_MEMBERS_MAX = 10_000;

export function routingOf(node: SwarmNode): Routing {
  // There at run time; the published type does not name it.
  const { routingTable } = node.services.dht as unknown as { readonly routingTable: RoutingTable }; // kad-dht keeps its table from its types
  const places = new Map<string, Place>();
  const known = new Map<string, Place>();

  function placeOf(member: string): Place {
    const place = places.get(member) ?? toPlace(member);
    if (places.size >= KEYS_KEPT_MAX) places.clear();
    places.set(member, place);
    return place;
  }

  const isAlive = routingTable.kb.verify;
  // With whom we are connected lives: asking over a stream of its own would double what meeting costs.
  routingTable.kb.verify = async (contact, options) => {
    if (node.getConnections(contact.peerId).length === 0) return isAlive(contact, options);
    routingTable.dispatchEvent(new CustomEvent('peer:ping', { detail: contact.peerId }));
    return true;
  };

  const watchers = new Set<(member: string) => void>();
  function add(member: string): void {
    if (known.has(member)) return;
    known.set(member, placeOf(member));
    for (const watcher of watchers) watcher(member);
  }

  for (const member of routingTable.closestPeers(Buffer.alloc(KEY_BYTES), { count: TABLE_MEMBERS_MAX }))
    add(member.toString());
  add(node.peerId.toString());
  routingTable.addEventListener('peer:add', (event) => add(memberOf(event)));
  routingTable.addEventListener('peer:remove', (event) => void known.delete(memberOf(event)));
  // Kademlia takes its time with a member that we already speak to, and every member has its tables.
  node.addEventListener('peer:identify', ({ detail }) => add(detail.peerId.toString()));

  return {
    size: () => known.size - 1,
    async adopt(signal) {
      const unknown = node
        .getConnections()
        .map(({ remotePeer }) => remotePeer)
        .filter((member) => !known.has(member.toString()));
      await Promise.all(unknown.slice(0, ADOPTED_MAX).map((member) => routingTable.add(member, { signal })));
    },
    around(member, count, nearest) {
      const all = [...known.keys()];
      if (all.length <= count) return all;
      const near = nearestOf(known.values(), placeOf(member).key, nearest);
      const start = randomInt(all.length);
      return [...new Set([...near, ...all.slice(start), ...all.slice(0, start)])].slice(0, count);
    },
    nearestToUs: (among, count) =>
      new Set(nearestOf([...among].map(placeOf), placeOf(node.peerId.toString()).key, count)),
    meet: add,
    view: () => known.values().reduce((view, { head }) => (view ^ head) >>> 0, 0),
    nearest: (digest, count) => nearestOf(known.values(), keyOf(digest), count),
    isNearer: (digest, one, other) => compareDistance(keyOf(digest), placeOf(one).key, placeOf(other).key) < 0,
    forget(member) {
      known.delete(member.toString());
      return routingTable.remove(member);
    },
    watch(met) {
      watchers.add(met);
      return { [Symbol.dispose]: () => void watchers.delete(met) };
    },
  };
}

function memberOf(event: Event): string {
  return (event as CustomEvent<PeerId>).detail.toString();
}

/** Kademlia hashes the bytes of a member's id. */
function toPlace(member: string): Place {
  const key = sha256(peerIdFromString(member).toMultihash().bytes);
  return { member, key, head: key.readUInt32BE() };
}

/** Kademlia's key of a digest. */
function keyOf(digest: Digest): Buffer {
  return sha256(Buffer.from(digest));
}

/** One look at each member: thousands of blobs are announced at once, and kad-dht's own search is a hundred times slower. */
function nearestOf(places: Iterable<Place>, key: Buffer, count: number): readonly string[] {
  const head = key.readUInt32BE();
  const nearest: Place[] = [];
  for (const place of places) {
    let at = nearest.length;
    while (at > 0 && isBefore(place, nearest[at - 1] as Place)) at--;
    if (at >= count) continue;
    nearest.splice(at, 0, place);
    if (nearest.length > count) nearest.pop();
  }
  return nearest.map(({ member }) => member);

  function isBefore(one: Place, other: Place): boolean {
    const difference = ((one.head ^ head) >>> 0) - ((other.head ^ head) >>> 0);
    return (difference === 0 ? compareDistance(key, one.key, other.key) : difference) < 0;
  }
}

/** Below zero when `one` is nearer to the key by XOR, above when `other` is. */
function compareDistance(key: Buffer, one: Buffer, other: Buffer): number {
  for (let at = 0; at < key.length; at++) {
    const difference = ((one[at] ?? 0) ^ (key[at] ?? 0)) - ((other[at] ?? 0) ^ (key[at] ?? 0));
    if (difference !== 0) return difference;
  }
  return 0;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
