import { describe, orAbort, type Report } from '@drayage/core';
import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { SwarmNode } from './node.ts';
import type { Routing } from './routing.ts';

const AWAY_MAX = 1024;
const AWAY_LIFE_MS = 24 * 3600 * 1000;
const QUESTIONS_AT_ONCE = 16;
/** A deadline that passed this much too late says that it was us who were busy. */
const LATE_MS = 500;
const ATTEMPTS_MAX = 3;
/** Who said that it parts does so within this time. */
const PARTING_MS = 10_000;

export interface PresenceTimes {
  /** One connection after the other is asked whether it lives, this far apart; the kernel and whoever waits in vain are quicker. */
  readonly lookEveryMs: number;
  /** Longer than a member may be busy. */
  readonly answerWaitMs: number;
}

const TIMES: PresenceTimes = { lookEveryMs: 3000, answerWaitMs: 5000 };

export interface PresenceParts {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly report: Report;
  readonly now: () => number;
  readonly times?: PresenceTimes;
}

/** Which members are there. Connections to those that are not are ended, and nothing is near them until they return. */
export interface Presence extends AsyncDisposable {
  /** Whether the member was connected once and is not now. */
  isAway(member: string): boolean;
  /** The member is about to end its connection, or we are, since neither needs it: that is no loss. */
  part(member: string): void;
  /** Somebody waited for the member in vain: it is asked at once whether it lives. */
  doubt(member: string): void;
  /** Members that were lost in the last day, the latest first. */
  away(): readonly PeerId[];
  /** Calls back with each member that came, went or began anew: what it was told may be lost. Until disposed. */
  watch(changed: (member: string) => void): Disposable;
}

export function watchPresence({ node, routing, report, now, times = TIMES }: PresenceParts): Presence {
  const lost = new Map<string, { readonly peer: PeerId; readonly at: number }>();
  const parting = new Map<string, number>();
  const watchers = new Set<(member: string) => void>();
  const asking = new Set<string>();
  const changed = (member: string) => {
    for (const watcher of watchers) watcher(member);
  };

  function onLost({ detail: peer }: CustomEvent<PeerId>): void {
    const member = peer.toString();
    const isParting = now() < (parting.get(member) ?? 0);
    parting.delete(member);
    lost.delete(member);
    if (!isParting) lost.set(member, { peer, at: now() });
    for (const [oldest, { at }] of lost) if (lost.size > AWAY_MAX || at < now() - AWAY_LIFE_MS) lost.delete(oldest);
    routing.forget(peer).catch((error) => report({ kind: 'error', where: 'presence', problem: describe(error) }));
    if (!isParting) changed(member);
  }

  async function look(connection: Connection): Promise<void> {
    if (asking.has(connection.id) || asking.size >= QUESTIONS_AT_ONCE || connection.status !== 'open') return;
    asking.add(connection.id);
    try {
      if (await isAlive(connection, times.answerWaitMs)) return;
      connection.abort(new Error('the member does not answer'));
      // It lives on another connection: perhaps it died and came back between two looks.
      if (node.getConnections(connection.remotePeer).length > 0) changed(connection.remotePeer.toString());
    } finally {
      asking.delete(connection.id);
    }
  }

  let turn = 0;
  const timer = setInterval(() => {
    const connections = node.getConnections();
    const next = connections[turn++ % connections.length];
    if (next) void look(next);
  }, times.lookEveryMs);
  const onMet = ({ detail }: CustomEvent<PeerId>) => void lost.delete(detail.toString());
  node.addEventListener('peer:connect', onMet);
  node.addEventListener('peer:disconnect', onLost);
  const routed = routing.watch(changed);

  return {
    isAway: (member) => lost.has(member),
    part(member) {
      for (const [other, until] of parting) if (until < now()) parting.delete(other);
      parting.set(member, now() + PARTING_MS);
    },
    doubt(member) {
      for (const connection of node.getConnections(peerIdFromString(member))) void look(connection);
    },
    away: () => [...lost.values()].map(({ peer }) => peer).reverse(),
    watch(watcher) {
      watchers.add(watcher);
      return { [Symbol.dispose]: () => watchers.delete(watcher) };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      routed[Symbol.dispose]();
      node.removeEventListener('peer:connect', onMet);
      node.removeEventListener('peer:disconnect', onLost);
      watchers.clear();
    },
  };
}

/** Never throws. When it was us who were too busy to hear the answer, the member is asked again. */
async function isAlive(connection: Connection, waitMs: number): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const askedAt = performance.now();
    if (await answers(connection, waitMs)) return true;
    if (performance.now() - askedAt < waitMs + LATE_MS) return false;
  }
  return true;
}

/** The part of a connection that its type leaves out: asking costs one frame each way, where a stream costs eight. */
interface Pinged {
  readonly muxer: { ping(): Promise<number> };
}

async function answers(connection: Connection, waitMs: number): Promise<boolean> {
  const late = AbortSignal.timeout(waitMs);
  try {
    // It is not given the signal: an answer that nobody waits for any more ends the connection.
    await orAbort((connection as unknown as Pinged).muxer.ping(), late); // the muxer is there, though no type says so
    return true;
  } catch {
    return !late.aborted;
  }
}
