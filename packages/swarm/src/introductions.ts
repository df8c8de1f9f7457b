import { multiaddr } from '@multiformats/multiaddr';
import { keepAllowances } from './allowance.ts';
import { isMember } from './contact.ts';
import type { Answerer, Control } from './control.ts';
import type { SwarmNode } from './node.ts';
import type { Routing } from './routing.ts';

/** Members named in one answer: in a swarm up to this size it names them all. */
const INTRODUCED_MAX = 256;
/** Of these, the nearest to the one who asks; in a larger swarm the others are taken at random. */
const NEAREST = 64;
const ADDRESSES_PER_MEMBER_MAX = 4;
const ADDRESS_CHARS_MAX = 120;
const ADDRESS = /^\/(?:ip4|ip6|dns)\/[0-9a-zA-Z:.-]+\/tcp\/[0-9]{1,5}$/;
/** One of so many that are the nearest to us is asked, who knows others near us, and one at random, who knows others. */
const NEAREST_ASKED = 8;
/** Each costs both ends some 8 ms: with more, handshakes of many newcomers on a busy host outlast their time. */
const DIALS_AT_ONCE = 4;
const ANSWER_WAIT_MS = 5000;
const DIAL_WAIT_MS = 5000;
/** The next round goes on with whoever was not dialled by then. */
const MEETING_MS_MAX = 20_000;
/** With so many connections there is no need to look for more. */
const CONNECTED_MAX = 512;
/** What one member may ask in a second, and at once when it was quiet. */
const QUESTIONS_PER_SECOND_MAX = 2;
const QUESTIONS_AT_ONCE_MAX = 20;

export interface IntroductionsParts {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly control: () => Control;
  readonly now: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
}

/** Members tell newcomers whom they are connected with: one question in place of a search through the tables of dozens. */
export interface Introductions {
  /** What others may ask of this member. */
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** Asks some members whom they know, and dials who is new. Answers with how many were met, and how many could not be. */
  meet(signal: AbortSignal): Promise<Meeting>;
}

interface Meeting {
  readonly met: number;
  readonly missed: number;
}

export function openIntroductions(parts: IntroductionsParts): Introductions {
  const { node, routing, control, now, random } = parts;
  const { connected, addressesOf } = watchMembers(node);
  const asked = keepAllowances({ perSecond: QUESTIONS_PER_SECOND_MAX, most: QUESTIONS_AT_ONCE_MAX, now });

  function introduce(asker: string, body: unknown): readonly Introduced[] {
    const { view } = (body ?? {}) as Partial<Record<string, unknown>>;
    if (view === routing.view() || !asked.take(asker, 1)) return [];
    return routing
      .around(asker, INTRODUCED_MAX, NEAREST)
      .map((member) => ({ member, addresses: addressesOf(member) }))
      .filter(({ member, addresses }) => member !== asker && addresses.length > 0);
  }

  async function ask(member: string, signal: AbortSignal): Promise<readonly Introduced[]> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
    try {
      return parseIntroduced(await control().ask(member, 'introduce', { view: routing.view() }, late));
    } catch {
      // Whether it lives is looked after elsewhere, and another one is asked in the next round.
      signal.throwIfAborted();
      return [];
    }
  }

  return {
    answerers: { introduce },
    async meet(signal) {
      const self = node.peerId.toString();
      const near = routing.around(self, NEAREST_ASKED + 1, NEAREST_ASKED + 1).filter((member) => connected.has(member));
      const some = new Set([near, [...connected]].flatMap((among) => oneOf(among, random)));
      const answers = (await Promise.all([...some].map((member) => ask(member, signal)))).flat();
      const strangers = new Map(answers.map((one) => [one.member, one]));
      strangers.delete(self);
      // Two that join at the same moment are told of each other: who comes first is dialled later, when it has dialled us.
      const isLater = ({ member }: Introduced) => Number(member < self);
      const next = [...strangers.values()].sort((one, other) => isLater(one) - isLater(other)).values();
      const until = now() + MEETING_MS_MAX;
      const meeting = { met: 0, missed: 0 };
      const dialer = async () => {
        for (const one of next) {
          if (now() > until || connected.size >= CONNECTED_MAX) return;
          if (!connected.has(one.member)) meeting[(await dial(node, one, signal)) ? 'met' : 'missed']++;
        }
      };
      await Promise.all(Array.from({ length: DIALS_AT_ONCE }, dialer));
      return meeting;
    },
  };
}

function oneOf<Item>(items: readonly Item[], random: () => number): readonly Item[] {
  const at = Math.floor(random() * items.length);
  return items.slice(at, at + 1);
}

interface Introduced {
  readonly member: string;
  readonly addresses: readonly string[];
}

/** Who is connected, and where they say that they listen. libp2p's own lists are made anew for each look, at milliseconds. */
function watchMembers(node: SwarmNode) {
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
  return { connected, addressesOf: (member: string) => listening.get(member) ?? [] };
}

/** What is beyond the bounds, or nobody's name or address, is left out. */
function parseIntroduced(answer: unknown): readonly Introduced[] {
  const list: readonly unknown[] = Array.isArray(answer) ? answer.slice(0, INTRODUCED_MAX) : [];
  return list.flatMap((one) => {
    const { member, addresses } = (one ?? {}) as Partial<Record<string, unknown>>;
    if (!isMember(member) || !Array.isArray(addresses)) return [];
    return [{ member, addresses: addresses.filter(isAddress).slice(0, ADDRESSES_PER_MEMBER_MAX) }];
  });
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= ADDRESS_CHARS_MAX && ADDRESS.test(value);
}

/** Whether the member was met: whoever answers there has to prove that it is this one. */
async function dial(node: SwarmNode, { member, addresses }: Introduced, signal: AbortSignal): Promise<boolean> {
  try {
    // A number out of range is found out here only.
    const whom = addresses.map((address) => multiaddr(`${address}/p2p/${member}`));
    await node.dial(whom, { signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_WAIT_MS)]) });
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
