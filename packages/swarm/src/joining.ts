import { describe, type Report } from '@drayage/core';
import { isPeerId, type PeerId } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Approach } from './approach.ts';
import type { Introductions } from './introductions.ts';
import { findMembers, type HostPort, type JoinTarget, type Resolver } from './join.ts';
import { type LocalSearch, searchLocally } from './mdns.ts';
import { multiaddrOf, type SwarmNode } from './node.ts';
import type { Parting } from './parting.ts';
import type { Presence } from './presence.ts';
import { openRemembered, type Remembered } from './remembered.ts';
import type { Routing } from './routing.ts';
import { sparingly } from './sparing.ts';

export interface JoiningTimes {
  /** With nobody connected, and while getting to know the others. */
  readonly lonelyEveryMs: number;
  /** Afterwards: members that are away are dialled again, and targets that are not connected. */
  readonly contentEveryMs: number;
  /** Names and lists are asked again while all is well: they may name members that came later. */
  readonly resolveEveryMs: number;
}

const TIMES: JoiningTimes = { lonelyEveryMs: 2000, contentEveryMs: 10_000, resolveEveryMs: 60_000 };
/** Rounds in quick succession after the first meeting: others may be joining at the same moment. */
const SETTLING_ROUNDS = 5;
const DIAL_WAIT_MS = 5000;
const DIALS_AT_ONCE = 8;
/** Members dialled each round; through them the others are known. */
const DIALS_PER_ROUND_MAX = 32;
/** Of those that are away, at random: some of them are gone for good. */
const AWAY_PER_ROUND_MAX = 8;
const ADDRESSES_PER_MEMBER_MAX = 8;
const ADOPT_WAIT_MS = 10_000;

export interface JoiningParts {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly introductions: Pick<Introductions, 'meet'>;
  readonly approach: Pick<Approach, 'isLarge'>;
  readonly parting: Pick<Parting, 'thin'>;
  readonly presence: Pick<Presence, 'away'>;
  readonly targets: readonly JoinTarget[];
  readonly resolver: Resolver;
  /** Where members are remembered from one run to the next. */
  readonly file: string;
  readonly report: Report;
  readonly now: () => number;
  /** Between 0 and 1. */
  readonly random: () => number;
  readonly times?: JoiningTimes;
}

/** Finds members, stays with them, and returns to those that were lost, until disposed. */
export function startJoining(parts: JoiningParts): AsyncDisposable {
  const stop = new AbortController();
  const done = joinOn(parts, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the agent is stopping'));
      await done;
    },
  };
}

interface Joining extends JoiningParts {
  readonly tell: (subject: string, problem: string) => void;
  readonly remembered: Remembered;
  readonly local: LocalSearch | undefined;
  /** When the targets were asked last, and what they said. */
  readonly answered: { at: number; addresses: readonly Multiaddr[] };
}

async function joinOn(parts: JoiningParts, signal: AbortSignal): Promise<void> {
  const { node, presence, introductions, report, now, times = TIMES } = parts;
  await using local = parts.targets.some(({ kind }) => kind === 'mdns') ? await searchLocally(node) : undefined;
  const isNews = sparingly(now);
  const tell = (subject: string, problem: string) => {
    if (!signal.aborted && isNews(subject)) report({ kind: 'error', where: 'joining', problem });
  };
  const remembered = await openRemembered(parts.file);
  const joining: Joining = { ...parts, tell, remembered, local, answered: { at: 0, addresses: [] } };
  let settling = SETTLING_ROUNDS;
  let isNew = false;
  let askedAt = 0;
  while (!signal.aborted) {
    const startedAt = now();
    try {
      // Who came back leads to the others that were away with it.
      isNew = await joinOnce(joining, isNew ? DIALS_PER_ROUND_MAX : AWAY_PER_ROUND_MAX, signal);
      const hasGrown = await adopt(parts, signal);
      if (isNew || hasGrown) settling = SETTLING_ROUNDS;
      else if (settling > 0 && node.getConnections().length > 0) settling--;
      if (isNew || settling > 0 || now() - askedAt >= times.resolveEveryMs) {
        const { met, missed } = await introductions.meet(signal);
        if (met > 0) settling = SETTLING_ROUNDS;
        // Who was too busy for us is tried again in the next round, however slow that comes.
        askedAt = missed > 0 ? Number.NEGATIVE_INFINITY : now();
      }
      await parts.parting.thin(signal);
      await remembered.update(node);
    } catch (error) {
      tell('round', describe(error));
    }
    const isContent = settling === 0 && node.getConnections().length > 0;
    const isReturning = isNew && presence.away().length > 0;
    const everyMs = isContent && !isReturning ? times.contentEveryMs : times.lonelyEveryMs;
    await pause(Math.max(startedAt + everyMs - now(), everyMs / 4), signal);
  }
}

/** One round over all targets, and whether it met anyone. A target that fails is told and does not stop the others. */
async function joinOnce(joining: Joining, awayMax: number, signal: AbortSignal): Promise<boolean> {
  const { node, presence, remembered, local, random } = joining;
  const mixed = <Item>(items: readonly Item[]) => items.toSorted(() => random() - 0.5);
  const isAlone = node.getConnections().length === 0;
  const recalled = isAlone ? mixed(remembered.addresses()) : [];
  const addresses = [...(await askTargets(joining, isAlone, signal)), ...recalled];
  // Whoever has met so many needs no door any more, and all would stand at the same one.
  const strangers = joining.approach.isLarge()
    ? []
    : addresses.filter((address) => !isOurs(node, address) && !isConnected(node, address));
  const heard = (local?.found() ?? []).filter(({ id }) => node.getConnections(id).length === 0);
  const near = heard.map(({ multiaddrs }) => multiaddrs.slice(0, ADDRESSES_PER_MEMBER_MAX));
  const away = mixed(presence.away()).slice(0, awayMax);
  const next = [...[...strangers, ...near].slice(0, DIALS_PER_ROUND_MAX), ...away].values();
  let met = 0;
  const dialer = async () => {
    for (const whom of next) if (await meet(joining, whom, signal)) met++;
  };
  await Promise.all(Array.from({ length: DIALS_AT_ONCE }, dialer));
  return met > 0;
}

/** Addresses cost nothing to look at; names and lists are asked now and then, and when somebody is missing. */
async function askTargets(joining: Joining, isAlone: boolean, signal: AbortSignal): Promise<readonly Multiaddr[]> {
  const { targets, resolver, presence, answered, tell, now, times = TIMES } = joining;
  const isMissing = isAlone || presence.away().length > 0;
  if (!isMissing && now() - answered.at < times.resolveEveryMs) return answered.addresses;
  const found = await Promise.all(
    targets.map((target) =>
      findMembers(target, resolver, signal).catch((error: unknown) => {
        tell(describe(error), describe(error));
        return [];
      }),
    ),
  );
  answered.at = now();
  answered.addresses = found.flat().map(addressOf);
  return answered.addresses;
}

/** Whether members became known that were only connected. */
async function adopt({ routing }: JoiningParts, signal: AbortSignal): Promise<boolean> {
  const before = routing.size();
  await routing.adopt(AbortSignal.any([signal, AbortSignal.timeout(ADOPT_WAIT_MS)]));
  return routing.size() > before;
}

async function meet(
  { node, tell }: Joining,
  whom: Multiaddr | Multiaddr[] | PeerId,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await node.dial(whom, { signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_WAIT_MS)]) });
    return true;
  } catch (error) {
    // Told because a wrong key looks like this from outside. Members that are away are told of as one.
    const subject = isPeerId(whom) ? 'away' : whom.toString();
    tell(subject, `${whom} refused us or is away: ${describe(error)}`);
    return false;
  }
}

function addressOf({ host, port }: HostPort): Multiaddr {
  return multiaddr(multiaddrOf(host, port));
}

function isConnected(node: SwarmNode, address: Multiaddr): boolean {
  return node.getConnections().some(({ remoteAddr }) => remoteAddr.toString().startsWith(`${address}/`));
}

function isOurs(node: SwarmNode, address: Multiaddr): boolean {
  return node.getMultiaddrs().some((own) => own.toString().startsWith(`${address}/`));
}

function pause(waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, waitMs);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    }
  });
}
