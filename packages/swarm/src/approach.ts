import { type Digest, Failure, parseDigest } from '@drayage/core';
import { type Acquaintances, parseIntroduced, type Reach } from './acquaintances.ts';
import type { Answerer, Control } from './control.ts';
import { HOMES } from './directory.ts';
import type { Routing } from './routing.ts';

/** Members that are asked, each nearer than the one before: among ten thousand members one or two are. */
const HOPS_MAX = 6;
const ANSWER_WAIT_MS = 1000;
/** A client may be waiting. */
const APPROACH_MS_MAX = 2000;

export interface ApproachParts {
  readonly self: string;
  readonly routing: Pick<Routing, 'nearest' | 'isNearer'>;
  readonly acquaintances: Acquaintances;
  readonly control: () => Control;
  readonly reach: Reach;
}

/** How the homes of a digest are found in a swarm where nobody is connected with everybody. */
export interface Approach {
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** Whether there may be members that we are not connected with. Else all homes are known. */
  isLarge(): boolean;
  /**
   * The homes of the digest: in a large swarm those that members nearer to it know. They are met, but for those that need
   * not be. When they cannot be found, these are the nearest that are known.
   */
  approach(digest: Digest, signal: AbortSignal, needNotMeet?: (member: string) => boolean): Promise<readonly string[]>;
}

export function openApproach({ self, routing, acquaintances, control, reach }: ApproachParts): Approach {
  const { connected } = acquaintances;
  let wasLarge = false;

  function isLarge(): boolean {
    if (connected.size >= reach.introducedMax) wasLarge = true;
    // Some may only have left for a while.
    else if (2 * connected.size < reach.introducedMax) wasLarge = false;
    return wasLarge;
  }

  async function ask(member: string, digest: Digest, signal: AbortSignal) {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
    const answer = await control()
      .ask(member, 'homes', { digest }, late)
      .catch(() => undefined);
    signal.throwIfAborted();
    return parseIntroduced(answer, HOMES).filter((one) => one.member !== self);
  }

  /** Goes on from the nearest member known to whom that one knows, until nobody knows a nearer one. */
  async function search({ digest, heard, needNotMeet }: Search, signal: AbortSignal): Promise<void> {
    const asked = new Set([self]);
    for (let hops = 0; hops < HOPS_MAX; hops++) {
      const [nearest] = nearestOf(digest, heard);
      const next = nearestOf(digest, heard).find((home) => !asked.has(home) && connected.has(home));
      if (nearest === self || next === undefined) return;
      asked.add(next);
      const named = await ask(next, digest, signal);
      for (const { member } of named) heard.add(member);
      const homes = new Set(nearestOf(digest, heard));
      const strangers = named.filter(({ member }) => homes.has(member) && !connected.has(member));
      await Promise.all(
        strangers.map(async (stranger) => {
          if (needNotMeet(stranger.member) || (await acquaintances.meet(stranger, signal))) return;
          heard.delete(stranger.member);
          asked.add(stranger.member);
        }),
      );
      if (next === nearest && strangers.length === 0) return;
    }
  }

  function nearestOf(digest: Digest, heard: ReadonlySet<string>): readonly string[] {
    const all = [...new Set([...routing.nearest(digest, HOMES), ...heard])];
    return all.sort((one, other) => (routing.isNearer(digest, one, other) ? -1 : 1)).slice(0, HOMES);
  }

  return {
    isLarge,
    async approach(digest, signal, needNotMeet = () => false) {
      const heard = new Set<string>();
      if (!isLarge()) return routing.nearest(digest, HOMES);
      const late = AbortSignal.any([signal, AbortSignal.timeout(APPROACH_MS_MAX)]);
      await search({ digest, heard, needNotMeet }, late).catch(() => signal.throwIfAborted());
      return nearestOf(digest, heard);
    },
    answerers: {
      homes(_member, body) {
        const { digest } = (body ?? {}) as Partial<Record<string, unknown>>;
        const wanted = typeof digest === 'string' ? parseDigest(digest) : undefined;
        if (!wanted) throw new Failure('digest_invalid', 'that is no digest');
        return acquaintances.introduce(routing.nearest(wanted, HOMES));
      },
    },
  };
}

interface Search {
  readonly digest: Digest;
  /** Whom others named. */
  readonly heard: Set<string>;
  readonly needNotMeet: (member: string) => boolean;
}
