import { createHash } from 'node:crypto';
import type { Digest } from '@drayage/core';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { pipe } from 'it-pipe';
import type { SwarmNode } from './node.ts';

/** Who is near a key, as far as this member knows. Kademlia's routing keeps the members near us complete and others thin. */
export interface Routing {
  /** The nearest members to the digest's key, ourselves included, the nearest first. */
  nearest(digest: Digest, count: number): readonly string[];
  /** Gets to know the members near us, through those known already. Wanted after each joining. */
  refresh(signal: AbortSignal): Promise<void>;
  /** How many members are known. */
  size(): number;
  /** Whether the first lies nearer to the digest's key than the second. */
  isNearer(digest: Digest, one: string, other: string): boolean;
}

/** The part of kad-dht that its type leaves out. */
interface RoutingTable {
  readonly size: number;
  closestPeers(key: Uint8Array, options: { readonly count: number }): PeerId[];
}

const KEYS_KEPT_MAX = 8192;

export function routingOf(node: SwarmNode): Routing {
  // There at run time; the published type does not name it.
  const { routingTable } = node.services.dht as unknown as { readonly routingTable: RoutingTable };
  const self = node.peerId.toString();
  const places = new Map<string, Buffer>();

  /** Where a member stands among the keys: Kademlia hashes the bytes of its id. */
  function placeOf(member: string): Buffer {
    const known = places.get(member);
    if (known) return known;
    const place = sha256(peerIdFromString(member).toMultihash().bytes);
    if (places.size >= KEYS_KEPT_MAX) places.clear();
    places.set(member, place);
    return place;
  }

  function isNearer(digest: Digest, one: string, other: string): boolean {
    return compareDistance(keyOf(digest), placeOf(one), placeOf(other)) < 0;
  }

  return {
    isNearer,
    size: () => routingTable.size,
    refresh: (signal) =>
      pipe(node.services.dht.getClosestPeers(node.peerId.toMultihash().bytes, { signal }), readToEnd),
    nearest(digest, count) {
      const key = keyOf(digest);
      const known = routingTable.closestPeers(key, { count }).map(String);
      const all = [...new Set([...known, self])];
      return all.sort((one, other) => compareDistance(key, placeOf(one), placeOf(other))).slice(0, count);
    },
  };
}

/** Whoever answers a query is kept in the routing table; the answers themselves are not needed. */
async function readToEnd(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

/** Kademlia's key of a digest. */
function keyOf(digest: Digest): Buffer {
  return sha256(Buffer.from(digest));
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
