import { multiaddr } from '@multiformats/multiaddr';
import { isMember } from './contact.ts';
import type { SwarmNode } from './node.ts';
import type { Routing } from './routing.ts';

/** How many members one is connected with. */
export interface Reach {
  /** Members named in one answer: in a swarm up to this size it names them all. */
  readonly introducedMax: number;
  /** Of these, the nearest to the one who asks. Every member stays connected with so many that are nearest to it. */
  readonly nearest: number;
  /** With so many connections no more are looked for, but to those nearest to us, who know the homes near us. */
  readonly wanted: number;
  /** Beyond so many, those that neither side needs are ended. */
  readonly most: number;
}

export const REACH: Reach = { introducedMax: 256, nearest: 64, wanted: 512, most: 640 };

const ADDRESSES_PER_MEMBER_MAX = 4;
const ADDRESS_CHARS_MAX = 120;
const ADDRESS = /^\/(?:ip4|ip6|dns)\/[0-9a-zA-Z:.-]+\/tcp\/[0-9]{1,5}$/;
const DIAL_WAIT_MS = 5000;

/** A member that another one names, and where it says that it listens. */
export interface Introduced {
  readonly member: string;
  readonly addresses: readonly string[];
}

/** Whom we are connected with, and how others reach them. */
export interface Acquaintances {
  /** libp2p's own list is made anew for each look, at milliseconds. */
  readonly connected: ReadonlySet<string>;
  /** What others are told of these members; of whom no address is known, nothing. */
  introduce(members: readonly string[]): readonly Introduced[];
  /** Whether the member was met: whoever answers there has to prove that it is this one. */
  meet(introduced: Introduced, signal: AbortSignal): Promise<boolean>;
}

export function keepAcquaintances(node: SwarmNode, routing: Pick<Routing, 'meet'>): Acquaintances {
  const connected = new Set(node.getPeers().map(String));
  const listening = new Map<string, readonly string[]>();
  node.addEventListener('peer:connect', ({ detail }) => void connected.add(detail.toString()));
  node.addEventListener('peer:identify', ({ detail: { peerId, listenAddrs } }) => {
    const addresses = listenAddrs.map(String).filter(isAddress);
    listening.set(peerId.toString(), addresses.slice(0, ADDRESSES_PER_MEMBER_MAX));
  });
  node.addEventListener('peer:disconnect', ({ detail }) => {
    connected.delete(detail.toString());
    listening.delete(detail.toString());
  });

  return {
    connected,
    introduce: (members) =>
      members
        .map((member) => ({ member, addresses: listening.get(member) ?? [] }))
        .filter(({ addresses }) => addresses.length > 0),
    async meet({ member, addresses }, signal) {
      try {
        // A number out of range is found out here only.
        const whom = addresses.map((address) => multiaddr(`${address}/p2p/${member}`));
        await node.dial(whom, { signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_WAIT_MS)]) });
        // It may have hung up at once.
        if (connected.has(member)) routing.meet(member);
        return true;
      } catch {
        signal.throwIfAborted();
        return false;
      }
    },
  };
}

/** What is beyond the bounds, or nobody's name or address, is left out. */
export function parseIntroduced(answer: unknown, most: number): readonly Introduced[] {
  const list: readonly unknown[] = Array.isArray(answer) ? answer.slice(0, most) : [];
  return list.flatMap((one) => {
    const { member, addresses } = (one ?? {}) as Partial<Record<string, unknown>>;
    if (!isMember(member) || !Array.isArray(addresses)) return [];
    return [{ member, addresses: addresses.filter(isAddress).slice(0, ADDRESSES_PER_MEMBER_MAX) }];
  });
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ADDRESS_CHARS_MAX && ADDRESS.test(value);
}
