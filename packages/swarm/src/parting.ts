import { peerIdFromString } from '@libp2p/peer-id';
import type { Acquaintances, Reach } from './acquaintances.ts';
import type { Answerer, Control } from './control.ts';
import type { SwarmNode } from './node.ts';
import type { Presence } from './presence.ts';
import type { Routing } from './routing.ts';

/** With whom we spoke within this time, we may speak again. */
const IDLE_MS = 5000;
const ASKED_MAX = 4096;
const ANSWER_WAIT_MS = 2000;
const PARTINGS_AT_ONCE = 8;
/** In one round. */
const PARTINGS_MAX = 128;

export interface PartingParts {
  readonly node: SwarmNode;
  readonly routing: Pick<Routing, 'nearestToUs'>;
  readonly acquaintances: Acquaintances;
  readonly presence: Pick<Presence, 'part'>;
  readonly control: () => Control;
  readonly reach: Reach;
  readonly now: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
}

/** Ends connections that neither side needs, by agreement: who parts is neither lost nor away. */
export interface Parting {
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** We ask the member something, so it is needed for a while. */
  asked(member: string): void;
  /** Makes room for others, where there are too many connections. */
  thin(signal: AbortSignal): Promise<void>;
}

export function openParting(parts: PartingParts): Parting {
  const { node, routing, acquaintances, presence, control, reach, now, random } = parts;
  const { connected } = acquaintances;
  const near = () => routing.nearestToUs(connected, reach.nearest);
  const askedAt = new Map<string, number>();
  const isIdle = (member: string) => now() - (askedAt.get(member) ?? Number.NEGATIVE_INFINITY) >= IDLE_MS;

  async function part(member: string, signal: AbortSignal): Promise<void> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
    const isAgreed = await control()
      .ask(member, 'part', {}, late)
      .catch(() => false);
    signal.throwIfAborted();
    if (isAgreed !== true) return;
    presence.part(member);
    await node.hangUp(peerIdFromString(member), { signal: late }).catch(() => signal.throwIfAborted());
  }

  return {
    answerers: {
      part(member) {
        if (near().has(member) || !isIdle(member)) return false;
        presence.part(member);
        return true;
      },
    },
    asked(member) {
      askedAt.delete(member);
      for (const oldest of askedAt.keys()) if (askedAt.size >= ASKED_MAX) askedAt.delete(oldest);
      askedAt.set(member, now());
    },
    async thin(signal) {
      const surplus = Math.min(connected.size - reach.most, PARTINGS_MAX);
      if (surplus <= 0) return;
      const kept = near();
      const idle = [...connected].filter((member) => !kept.has(member) && isIdle(member));
      const next = idle
        .toSorted(() => random() - 0.5)
        .slice(0, surplus)
        .values();
      const worker = async () => {
        for (const member of next) await part(member, signal);
      };
      await Promise.all(Array.from({ length: PARTINGS_AT_ONCE }, worker));
    },
  };
}
