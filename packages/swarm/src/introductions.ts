import { type Acquaintances, type Introduced, parseIntroduced, type Reach } from './acquaintances.ts';
import { keepAllowances } from './allowance.ts';
import type { Answerer, Control } from './control.ts';
import type { SwarmNode } from './node.ts';
import type { Routing } from './routing.ts';

/** One of so many that are the nearest to us is asked, who knows others near us, and one at random, who knows others. */
const NEAREST_ASKED = 8;
/** Each costs both ends some 8 ms: with more, handshakes of many newcomers on a busy host outlast their time. */
const DIALS_AT_ONCE = 4;
const ANSWER_WAIT_MS = 5000;
/** The next round goes on with whoever was not dialled by then. */
const MEETING_MS_MAX = 20_000;
/** What one member may ask in a second, and at once when it was quiet. */
const QUESTIONS_PER_SECOND_MAX = 2;
const QUESTIONS_AT_ONCE_MAX = 20;

export interface IntroductionsParts {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly acquaintances: Acquaintances;
  readonly control: () => Control;
  readonly reach: Reach;
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
  const { node, routing, acquaintances, control, reach, now, random } = parts;
  const { connected } = acquaintances;
  const asked = keepAllowances({ perSecond: QUESTIONS_PER_SECOND_MAX, most: QUESTIONS_AT_ONCE_MAX, now });

  function introduce(asker: string, body: unknown): readonly Introduced[] {
    const { view } = (body ?? {}) as Partial<Record<string, unknown>>;
    if (view === routing.view() || !asked.take(asker, 1)) return [];
    const others = routing.around(asker, reach.introducedMax, reach.nearest).filter((member) => member !== asker);
    return acquaintances.introduce(others);
  }

  async function ask(member: string, signal: AbortSignal): Promise<readonly Introduced[]> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
    try {
      const answer = await control().ask(member, 'introduce', { view: routing.view() }, late);
      return parseIntroduced(answer, reach.introducedMax);
    } catch {
      // Whether it lives is looked after elsewhere, and another one is asked in the next round.
      signal.throwIfAborted();
      return [];
    }
  }

  /** Who is worth a connection: everybody while there are few, later those nearest to us. */
  function choose(strangers: ReadonlyMap<string, Introduced>): (member: string) => boolean {
    if (connected.size + strangers.size <= reach.wanted) return () => true;
    const near = routing.nearestToUs([...connected, ...strangers.keys()], reach.nearest);
    return (member) => connected.size < reach.wanted || near.has(member);
  }

  return {
    answerers: { introduce },
    async meet(signal) {
      const self = node.peerId.toString();
      const near = routing.around(self, NEAREST_ASKED + 1, NEAREST_ASKED + 1).filter((member) => connected.has(member));
      const some = new Set([near, [...connected]].flatMap((among) => oneOf(among, random)));
      const answers = (await Promise.all([...some].map((member) => ask(member, signal)))).flat();
      const strangers = new Map(answers.map((one) => [one.member, one]));
      for (const member of [self, ...connected]) strangers.delete(member);
      const isWanted = choose(strangers);
      // Two that join at the same moment are told of each other: who comes first is dialled later, when it has dialled us.
      const isLater = ({ member }: Introduced) => Number(member < self);
      const next = [...strangers.values()].sort((one, other) => isLater(one) - isLater(other)).values();
      const until = now() + MEETING_MS_MAX;
      const meeting = { met: 0, missed: 0 };
      const dialer = async () => {
        for (const one of next) {
          if (now() > until) return;
          if (connected.has(one.member) || !isWanted(one.member)) continue;
          meeting[(await acquaintances.meet(one, signal)) ? 'met' : 'missed']++;
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
