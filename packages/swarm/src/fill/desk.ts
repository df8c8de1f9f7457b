import { type Digest, describe, Failure, isFailure, type PiecePlan, planPieces, type Report } from '@drayage/core';
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
/** Of these, for blobs that one member was the first to name: enough for the largest blob there is, and not for all room. */
const HOMES_PER_MEMBER_MAX = 1024;
const PIECES_PER_MEMBER_MAX = 400_000;
/** A home that nobody turned to for this long is given up; all it knew can be rebuilt. */
const QUIET_MS = 180_000;
const IDLE_TICK_MS = 5000;
const LOOK_AGAIN_MS = 2000;

export interface DeskParts {
  readonly roll: Roll;
  /** Members that are nearer to the blob than we are, but for the one who asks. */
  readonly nearerTo: (digest: Digest, asker: string) => readonly string[];
  /** Members that are on record as holding a blob. */
  readonly holdersOf: (digest: Digest) => Promise<readonly Contact[]>;
  /** What a home says to a member; a question is answered by whether bytes come. Rejects when the member cannot be told. */
  readonly tell: (member: MemberId, about: About, word: HomeWord) => Promise<boolean>;
  readonly report: Report;
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
  /** Who named the blob first. */
  readonly founder: MemberId;
  readonly home: Home;
  usedAt: number;
  /** When it was last looked up who is on record as a holder. */
  lookedAt: number;
  timer: NodeJS.Timeout | undefined;
  /** When the timer is to go off. */
  dueAt: number;
}

export function openDesk(parts: DeskParts): Desk {
  const { roll } = parts;
  const shelf = keepHomes(parts);
  const report: Desk['report'] = async (member, about, said) => {
    const entry = await shelf.take(about, member);
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
        const { contact, report: said, ...about } = decodeReport(member, body, roll);
        const { members, ...answer } = await report(roll.note(contact), about, said);
        const names = members.map((id) => roll.memberOf(id)).filter((name) => name !== undefined);
        const contacts = names.map((name) => roll.contactOf(name)).filter(Boolean);
        return { ...answer, members: contacts, nearer: parts.nearerTo(about.digest, member) };
      },
      landed(member, body) {
        const about = decodeAbout(body);
        landed(roll.idOf(member), about, decodePieces(body, planPieces(about.size)));
      },
      returned(member, body) {
        const about = decodeAbout(body);
        const { isRefused } = body as { readonly isRefused?: unknown };
        returned(roll.idOf(member), about, isRefused === true);
      },
    },
    [Symbol.dispose]: () => shelf[Symbol.dispose](),
  };
}

/** The homes kept here, each with its clock. */
interface Homes extends Disposable {
  /** The home of a blob, made when there is none. Throws `unsupported` when there are too many. */
  take(about: About, member: MemberId): Promise<Entry>;
  step(entry: Entry, event: HomeEvent): HomeAnswer | undefined;
  /** For what makes sense only where something is known. */
  stepKnown(about: About, event: HomeEvent): void;
}

function keepHomes(parts: DeskParts): Homes {
  const { holdersOf, report, random, now } = parts;
  const starting = new Map<string, Promise<Entry>>();
  const ready = new Map<string, Entry>();
  let isOver = false;
  /** A home knows at once who has the blob already, so that nobody is sent to the origin for it. */
  async function begin(about: About, founder: MemberId): Promise<Entry> {
    const holders = await holdersOf(about.digest);
    const home = newHome({ plan: planPieces(about.size), random }, now());
    const entry: Entry = { about, founder, home, usedAt: now(), lookedAt: now(), timer: undefined, dueAt: now() };
    ready.set(keyOf(about), entry);
    welcome(parts, entry, holders, step);
    return entry;
  }

  /** Records move with the members that keep them, and may have come after the home began. */
  async function lookAgain(entry: Entry): Promise<void> {
    if (entry.home.ledger.free === 0 || now() - entry.lookedAt < LOOK_AGAIN_MS) return;
    entry.lookedAt = now();
    welcome(parts, entry, await holdersOf(entry.about.digest), step);
  }

  async function take(about: About, member: MemberId): Promise<Entry> {
    const key = keyOf(about);
    const known = ready.get(key);
    if (known) {
      known.usedAt = now();
      lookAgain(known).catch((error: unknown) => report({ kind: 'error', where: 'home', problem: describe(error) }));
      return known;
    }
    const begun = starting.get(key);
    if (begun) return await begun;
    checkRoom(about, member, { ready, starting: starting.size, self: parts.roll.self });
    starting.set(
      key,
      begin(about, member).finally(() => starting.delete(key)),
    );
    return await take(about, member);
  }

  function step(entry: Entry, event: HomeEvent): HomeAnswer | undefined {
    let answer: HomeAnswer | undefined;
    for (const decision of stepHome(entry.home, now(), event)) {
      if (decision.kind === 'answer') answer = decision.answer;
      else void carryOut(parts, entry, decision, step);
    }
    clearTimeout(entry.timer);
    if (isOver) return answer;
    const waitMs = entry.home.holders.size > 0 ? Math.max(1, entry.home.tickAt - now()) : IDLE_TICK_MS;
    entry.dueAt = now() + waitMs;
    entry.timer = setTimeout(tick, waitMs, entry).unref();
    return answer;
  }

  function tick(entry: Entry): void {
    if (now() - entry.usedAt > QUIET_MS) ready.delete(keyOf(entry.about));
    else step(entry, { kind: 'tick', lateMs: Math.max(0, now() - entry.dueAt) });
  }

  return {
    take,
    step,
    stepKnown(about, event) {
      const entry = ready.get(keyOf(about));
      if (entry) step(Object.assign(entry, { usedAt: now() }), event);
    },
    [Symbol.dispose]() {
      isOver = true;
      for (const entry of ready.values()) clearTimeout(entry.timer);
    },
  };
}

function wordOf(decision: Exclude<HomeDecision, { kind: 'answer' }>): HomeWord {
  return decision.kind === 'lease' ? { kind: 'lease', run: decision.run } : { kind: decision.kind };
}

interface Shelf {
  readonly ready: ReadonlyMap<string, Entry>;
  readonly starting: number;
  readonly self: MemberId;
}

/** Throws when there is no room for another blob of this member's. */
function checkRoom({ size }: About, founder: MemberId, { ready, starting, self }: Shelf): void {
  const { count } = planPieces(size);
  const used = { homes: starting, pieces: count, ownHomes: 0, ownPieces: count };
  for (const { home, founder: other } of ready.values()) {
    used.homes++;
    used.pieces += home.plan.count;
    if (other !== founder || founder === self) continue;
    used.ownHomes++;
    used.ownPieces += home.plan.count;
  }
  const isFull = used.homes >= HOMES_MAX || used.pieces > PIECES_MAX;
  const isGreedy = used.ownHomes >= HOMES_PER_MEMBER_MAX || used.ownPieces > PIECES_PER_MEMBER_MAX;
  if (isFull || isGreedy) throw new Failure('unsupported', 'this home is full');
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
    caught: [],
    isFollowing: false,
    isComplete: true,
    zone,
    uplinkBytesPerSecond: 0,
  };
}

type Step = Homes['step'];

function welcome({ roll }: DeskParts, entry: Entry, holders: readonly Contact[], step: Step): void {
  const { guests, plan } = entry.home;
  for (const contact of holders) {
    const member = roll.hear(contact);
    if (!guests.byId.has(member)) step(entry, { kind: 'reported', member, report: holding(contact, plan) });
  }
}

async function carryOut(
  { tell, report }: DeskParts,
  entry: Entry,
  decision: Exclude<HomeDecision, { kind: 'answer' }>,
  step: Step,
): Promise<void> {
  const member = decision.kind === 'withdraw' ? decision.from : decision.to;
  try {
    const hasProgress = await tell(member, entry.about, wordOf(decision));
    if (decision.kind === 'lease') step(entry, { kind: 'told', member });
    if (decision.kind === 'question') step(entry, { kind: 'progress', member, hasProgress });
  } catch (error) {
    if (!isFailure(error)) report({ kind: 'error', where: 'home', problem: describe(error) });
    // Who cannot be told is not there; what it was to fetch, another fetches.
    step(entry, { kind: 'left', member });
  }
}
