import { Failure, isFailure, planPieces } from '@drayage/core';
import type { HomeAnswer, MemberId, MemberReport } from '@drayage/exchange';
import { type Contact, isMember, parseContact } from '../contact.ts';
import type { Answerer, Control } from '../control.ts';
import type { Desk, HomeWord } from './desk.ts';
import { type About, decodeAbout, decodeRun, decodeUplink, encodeReport } from './home-messages.ts';
import type { Part } from './part-types.ts';
import type { Roll } from './roll.ts';

/** News of landed pieces waits this long for more of it. */
const LANDED_EVERY_MS = 5;
/** Pieces of one lease that are believed: a home that wants more fetched at once does not know what it does. */
const LEASE_PIECES_MAX = 64;
/** The exchange itself is quicker to pass over a home; this only bounds what is waited for. */
const WAIT_MS = 10_000;
const REPORT_MS_MAX = 60_000;
const MEMBERS_MAX = 32;
const NEARER_MAX = 3;

export interface HomeLineParts {
  readonly self: () => Contact;
  readonly roll: Roll;
  readonly control: () => Control;
  readonly desk: () => Desk;
  readonly partOf: (about: About) => Part | undefined;
  readonly signal: AbortSignal;
}

/** A home's answer, and the members it knows to be nearer to the blob than itself. */
interface HomeWithNearer extends HomeAnswer {
  readonly nearer: readonly string[];
}

/** What members and homes of a blob say to one another, over the control stream; with ourselves, at once. */
export interface HomeLine {
  readonly answerers: Readonly<Record<string, Answerer>>;
  report(home: MemberId, about: About & { readonly report: MemberReport }): Promise<HomeWithNearer>;
  /** Whether the member answers. */
  isThere(home: MemberId): Promise<boolean>;
  landed(home: MemberId, about: About, piece: number): void;
  giveBack(home: MemberId, about: About, isRefused: boolean): void;
  /** As a home, to a member. */
  tell(member: MemberId, about: About, word: HomeWord): Promise<boolean>;
}

export function openHomeLine(parts: HomeLineParts): HomeLine {
  const { self, roll, desk, partOf } = parts;
  const landedAt = new Map<string, { readonly home: MemberId; readonly about: About; readonly pieces: number[] }>();

  const ask = asker(parts);

  /** The home finds out by itself when this does not arrive: it asks. */
  const mention = (home: MemberId, kind: string, body: object) => void ask(home, kind, body).catch(() => undefined);

  function sendLanded(key: string): void {
    const news = landedAt.get(key);
    landedAt.delete(key);
    if (news) mention(news.home, 'landed', { ...news.about, pieces: news.pieces });
  }

  function wordFrom(home: MemberId, about: About, word: HomeWord): boolean {
    const part = partOf(about);
    if (!part) throw new Failure('blob_unknown', 'this member has no part in that blob any more');
    if (!part.isHome(home)) throw new Failure('denied', 'another member is home of that blob');
    if (word.kind === 'question') return part.questioned(home);
    if (word.kind === 'withdraw') part.withdrawn(home);
    else part.leased(home, { ...word.run, end: Math.min(word.run.end, word.run.start + LEASE_PIECES_MAX) });
    return true;
  }

  return {
    async report(home, { report, ...about }) {
      if (home === roll.self) return { ...(await desk().report(home, about, report)), nearer: [] };
      return decodeAnswer(await ask(home, 'report', encodeReport(about, self(), report, roll)), roll);
    },
    async isThere(home) {
      if (home === roll.self) return true;
      return await ask(home, 'there', {}).then(Boolean, () => false);
    },
    landed(home, about, piece) {
      if (home === roll.self) return desk().landed(home, about, [piece]);
      const key = `${home} ${about.digest}`;
      const news = landedAt.get(key);
      if (news) return void news.pieces.push(piece);
      landedAt.set(key, { home, about, pieces: [piece] });
      setTimeout(() => sendLanded(key), LANDED_EVERY_MS);
    },
    giveBack(home, about, isRefused) {
      if (home === roll.self) return desk().returned(home, about, isRefused);
      mention(home, 'returned', { ...about, isRefused });
    },
    async tell(member, about, word) {
      if (member === roll.self) return wordFrom(member, about, word);
      const { kind } = word;
      const answer = await ask(member, kind, { ...about, ...(kind === 'lease' && word.run) });
      return (answer as { readonly hasProgress?: unknown } | null)?.hasProgress === true;
    },
    answerers: {
      there: () => true,
      lease(member, body) {
        const about = decodeAbout(body);
        const run = decodeRun(body, planPieces(about.size));
        wordFrom(roll.idOf(member), about, { kind: 'lease', run });
      },
      question: (member, body) => ({
        hasProgress: wordFrom(roll.idOf(member), decodeAbout(body), { kind: 'question' }),
      }),
      withdraw(member, body) {
        wordFrom(roll.idOf(member), decodeAbout(body), { kind: 'withdraw' });
      },
    },
  };
}

function asker({
  roll,
  control,
  signal,
}: HomeLineParts): (member: MemberId, kind: string, body: object) => Promise<unknown> {
  return async (member, kind, body) => {
    const name = roll.memberOf(member);
    if (name === undefined) throw new Failure('member_unreachable', 'that member is known no more');
    // A signal with a timeout of its own goes on after the answer, and costs more than the message does.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`no answer within ${WAIT_MS / 1000} s`)), WAIT_MS);
    const stop = () => late.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await control().ask(name, kind, body, late.signal);
    } catch (error) {
      if (isFailure(error)) throw error;
      throw new Failure('member_unreachable', `member ${name} did not answer "${kind}" in time`, { cause: error });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  };
}

/** Hints all of it: who is named proves itself on its link. */
function decodeAnswer(answer: unknown, roll: Roll): HomeWithNearer {
  const { members, reportEveryMs, usualUplink, nearer } = (answer ?? {}) as Partial<Record<string, unknown>>;
  const contacts = (Array.isArray(members) ? members.slice(0, MEMBERS_MAX) : []).map(parseContact);
  const everyMs = typeof reportEveryMs === 'number' && reportEveryMs >= 0 ? reportEveryMs : REPORT_MS_MAX;
  return {
    members: contacts.filter((contact) => contact !== undefined).map((contact) => roll.hear(contact)),
    reportEveryMs: Math.min(everyMs, REPORT_MS_MAX),
    usualUplink: decodeUplink(usualUplink),
    nearer: (Array.isArray(nearer) ? nearer.slice(0, NEARER_MAX) : []).filter(isMember),
  };
}
