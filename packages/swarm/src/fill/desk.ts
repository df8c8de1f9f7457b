import { type Digest, Failure, isFailure, type PiecePlan, planPieces } from '@drayage/core';
import {
  fullBitmap,
  type Home,
  type HomeAnswer,
  type HomeDecision,
  type HomeEvent,
  type MemberId,
  type MemberReport,
  newHome,
  type Run,
  stepHome,
} from '@drayage/exchange';
import type { Contact } from '../contact.ts';
import type { Answerer } from '../control.ts';
import { type About, decodeAbout, decodePieces, decodeReport } from './home-messages.ts';
import type { Roll } from './roll.ts';

const HOMES_MAX = 4096;
/** Pieces of all blobs that we are home of: about 30 bytes each. */
const PIECES_MAX = 2_000_000;
/** A home that nobody turned to for this long is given up; all it knew can be rebuilt. */
const QUIET_MS = 180_000;
const IDLE_TICK_MS = 5000;

export interface DeskParts {
  readonly roll: Roll;
  /** Members that are on record as holding a blob. */
  readonly holdersOf: (digest: Digest) => Promise<readonly Contact[]>;
  /** What a home says to a member; a question is answered by whether bytes come. Rejects when the member cannot be told. */
  readonly tell: (member: MemberId, about: About, word: HomeWord) => Promise<boolean>;
  readonly random: () => number;
  readonly now: () => number;
}

export type HomeWord =
  | { readonly kind: 'lease'; readonly run: Run }
  | { readonly kind: 'question' }
  | { readonly kind: 'withdraw' };

/** The blobs that this member is home of: who takes part, and who may use the origin. */
export interface Desk extends Disposable {
  readonly answerers: Readonly<Record<string, Answerer>>;
  report(member: MemberId, about: About, report: MemberReport): Promise<HomeAnswer>;
  landed(member: MemberId, about: About, pieces: readonly number[]): void;
  returned(member: MemberId, about: About, isRefused: boolean): void;
}

interface Entry {
  readonly about: About;
  readonly home: Home;
  usedAt: number;
  timer: NodeJS.Timeout | undefined;
}

export function openDesk(parts: DeskParts): Desk {
  const { roll } = parts;
  const shelf = keepHomes(parts);
  const report: Desk['report'] = async (member, about, said) => {
    const entry = await shelf.take(about);
    const answer = shelf.step(entry, { kind: 'reported', member, report: said });
    if (!answer) throw new Error('a report without an answer');
    return answer;
  };
  const landed: Desk['landed'] = (member, about, pieces) => {
    for (const piece of pieces) shelf.stepKnown(about, { kind: 'landed', member, piece });
  };
  const returned: Desk['returned'] = (member, about, isRefused) =>
    shelf.stepKnown(about, { kind: 'returned', member, isRefused });

  return {
    report,
    landed,
    returned,
    answerers: {
      async report(member, body) {
        const { contact, report: said, ...about } = decodeReport(member, body);
        const { members, reportEveryMs } = await report(roll.note(contact), about, said);
        const names = members.map((id) => roll.memberOf(id)).filter((name) => name !== undefined);
        return { members: names.map((name) => roll.contactOf(name)).filter(Boolean), reportEveryMs };
      },
      landed(member, body) {
        const about = decodeAbout(body);
        landed(roll.idOf(member), about, decodePieces(body, planPieces(about.size)));
      },
      returned(member, body) {
        const { isRefused } = body as { readonly isRefused?: unknown };
        returned(roll.idOf(member), decodeAbout(body), isRefused === true);
      },
    },
    [Symbol.dispose]: () => shelf[Symbol.dispose](),
  };
}

/** The homes kept here, each with its clock. */
interface Homes extends Disposable {
  /** The home of a blob, made when there is none. Throws `unsupported` when there are too many. */
  take(about: About): Promise<Entry>;
  step(entry: Entry, event: HomeEvent): HomeAnswer | undefined;
  /** For what makes sense only where something is known. */
  stepKnown(about: About, event: HomeEvent): void;
}

function keepHomes({ roll, holdersOf, tell, random, now }: DeskParts): Homes {
  const starting = new Map<string, Promise<Entry>>();
  const ready = new Map<string, Entry>();

  /** A home knows at once who has the blob already, so that nobody is sent to the origin for it. */
  async function begin(about: About, plan: PiecePlan): Promise<Entry> {
    const holders = await holdersOf(about.digest);
    const entry: Entry = { about, home: newHome({ plan, random }, now()), usedAt: now(), timer: undefined };
    ready.set(keyOf(about), entry);
    for (const contact of holders)
      step(entry, { kind: 'reported', member: roll.note(contact), report: holding(contact, plan) });
    return entry;
  }

  async function take(about: About): Promise<Entry> {
    const key = keyOf(about);
    const known = ready.get(key);
    if (known) {
      known.usedAt = now();
      return known;
    }
    const plan = planPieces(about.size);
    const pieces = ready.values().reduce((sum, { home }) => sum + home.plan.count, plan.count);
    const count = ready.size + starting.size;
    if (count >= HOMES_MAX || pieces > PIECES_MAX) throw new Failure('unsupported', 'this home is full');
    const begun = starting.get(key) ?? begin(about, plan).finally(() => starting.delete(key));
    starting.set(key, begun);
    return await begun;
  }

  function step(entry: Entry, event: HomeEvent): HomeAnswer | undefined {
    let answer: HomeAnswer | undefined;
    for (const decision of stepHome(entry.home, now(), event)) {
      if (decision.kind === 'answer') answer = decision.answer;
      else void carryOut(entry, decision);
    }
    clearTimeout(entry.timer);
    const waitMs = entry.home.holders.size > 0 ? Math.max(1, entry.home.tickAt - now()) : IDLE_TICK_MS;
    entry.timer = setTimeout(tick, waitMs, entry).unref();
    return answer;
  }

  function tick(entry: Entry): void {
    if (now() - entry.usedAt > QUIET_MS) ready.delete(keyOf(entry.about));
    else step(entry, { kind: 'tick' });
  }

  async function carryOut(entry: Entry, decision: Exclude<HomeDecision, { kind: 'answer' }>): Promise<void> {
    const member = decision.kind === 'withdraw' ? decision.from : decision.to;
    const word: HomeWord = decision.kind === 'lease' ? { kind: 'lease', run: decision.run } : { kind: decision.kind };
    try {
      const hasProgress = await tell(member, entry.about, word);
      if (decision.kind === 'question') step(entry, { kind: 'progress', member, hasProgress });
    } catch (error) {
      if (!isFailure(error)) throw error;
      // Who cannot be told is not there; what it was to fetch, another fetches.
      step(entry, { kind: 'left', member });
    }
  }

  return {
    take,
    step,
    stepKnown(about, event) {
      const entry = ready.get(keyOf(about));
      if (!entry) return;
      entry.usedAt = now();
      step(entry, event);
    },
    [Symbol.dispose]() {
      for (const entry of ready.values()) clearTimeout(entry.timer);
    },
  };
}

function keyOf({ digest, size }: About): string {
  return `${digest} ${size}`;
}

/** What a member on record would report. */
function holding({ zone }: Contact, plan: PiecePlan): MemberReport {
  return {
    held: fullBitmap(plan.count),
    lacking: undefined,
    leased: undefined,
    wantsMembers: false,
    isFollowing: false,
    isComplete: true,
    zone,
    uplinkBytesPerSecond: 0,
  };
}
