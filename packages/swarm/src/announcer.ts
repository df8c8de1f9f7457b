import { setImmediate } from 'node:timers/promises';
import { type Digest, describe, type Report } from '@drayage/core';
import { openAgenda } from './agenda.ts';
import type { Approach } from './approach.ts';
import type { Directory, News, Notice } from './directory.ts';
import type { Parting } from './parting.ts';
import { sparingly } from './sparing.ts';

const BATCH_MS = 50;
const RETRY_MS = 2000;
const RETRY_MS_MAX = 60_000;
/** Half of what a record lives. */
const RENEW_MS = 12 * 3600 * 1000;
/** Whether something has to be renewed is looked at this often. */
const LOOK_MS = 30_000;
const FAREWELL_MS = 2000;
/** Comparing homes goes on for this long before others have their turn. */
const TURN_MS = 4;
/** A large swarm changes all the time: a digest that so many homes know of waits for the next search. */
const HOMES_ENOUGH = 2;
/** There homes have to be looked for: after this long, and then twice as long each time, as a swarm grows ever slower. */
const SEARCH_MS = 60_000;
const SEARCH_MS_MAX = 3_600_000;
/** The homes of so many digests are met before they are told, or there would be too many connections. */
const PORTION = 16;

export interface AnnouncerTimes {
  /** Members come and go in groups: homes are compared when it has been quiet for this long, or after the most. */
  readonly quietMs: number;
  readonly quietMsMax: number;
}

const TIMES: AnnouncerTimes = { quietMs: 2000, quietMsMax: 5000 };

export interface AnnouncerParts {
  readonly directory: Pick<Directory, 'tell'>;
  readonly approach: Pick<Approach, 'isLarge' | 'approach'>;
  readonly parting: Pick<Parting, 'thin'>;
  /** Every blob that is sealed here. */
  readonly held: () => readonly Digest[];
  /** Calls back with each member that came, went or began anew. */
  readonly watch: (changed: (member: string) => void) => Disposable;
  readonly report: Report;
  readonly now: () => number;
  readonly times?: AnnouncerTimes;
}

/** Keeps the homes of every blob that is held here informed, as homes change. Says goodbye when disposed. */
export interface Announcer extends AsyncDisposable {
  announce(digest: Digest): void;
  withdraw(digest: Digest): void;
}

export function startAnnouncer(parts: AnnouncerParts): Announcer {
  const { approach, held, watch, report, now, times = TIMES } = parts;
  const stop = new AbortController();
  const state: State = { told: new Map(), fresh: new Set(), gone: new Set() };
  const agenda = openAgenda<'news' | 'change' | 'retry' | 'look' | 'search'>(now);
  const isNews = sparingly(now);
  let retryMs = RETRY_MS;
  let searchMs = SEARCH_MS;
  let changedAt: number | undefined;

  const watching = watch((member) => {
    const wasTold = state.told.delete(member);
    if (!wasTold && approach.isLarge()) return;
    retryMs = RETRY_MS;
    changedAt ??= now();
    agenda.set('change', Math.min(now() + times.quietMs, changedAt + times.quietMsMax));
  });

  async function round(isWide: boolean, isSearch: boolean): Promise<void> {
    const isDue = (digest: Digest) => isSearch || !approach.isLarge() || !isTold(state, digest);
    const digests = new Set([...(isWide || isSearch ? held().filter(isDue) : []), ...state.fresh]);
    state.fresh.clear();
    agenda.set('look', now() + LOOK_MS);
    const missed = await inform(parts, state, digests, stop.signal);
    if (missed.length === 0) retryMs = RETRY_MS;
    else retry(`${missed.length} homes could not be told, ${missed[0]} among them`);
  }

  function retry(problem: string): void {
    agenda.hasten('retry', now() + retryMs);
    retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
    if (isNews('homes')) report({ kind: 'error', where: 'announcer', problem });
  }

  async function run(): Promise<void> {
    let isWide = true;
    let isSearch = false;
    while (!stop.signal.aborted) {
      await round(isWide, isSearch).catch((error: unknown) => {
        if (!stop.signal.aborted) retry(describe(error));
      });
      if (approach.isLarge()) agenda.hasten('search', now() + searchMs);
      const due = await agenda.due(stop.signal);
      if (due.has('change')) changedAt = undefined;
      isSearch = due.has('search');
      if (isSearch) searchMs = Math.min(2 * searchMs, SEARCH_MS_MAX);
      isWide = renew(state, now()) || due.has('change') || due.has('retry');
    }
  }

  const done = run();
  return {
    announce(digest) {
      state.gone.delete(digest);
      state.fresh.add(digest);
      agenda.hasten('news', now() + BATCH_MS);
    },
    withdraw(digest) {
      state.fresh.delete(digest);
      state.gone.add(digest);
      agenda.hasten('news', now() + BATCH_MS);
    },
    async [Symbol.asyncDispose]() {
      watching[Symbol.dispose]();
      stop.abort(new Error('the agent is stopping'));
      await done;
      const farewell = [...state.told].map(([home, { digests }]) => ({ home, digests: [...digests] }));
      await parts.directory.tell('withdraw', farewell, AbortSignal.timeout(FAREWELL_MS)).catch(() => {});
    },
  };
}

interface State {
  /** What each home was told, and since when. */
  readonly told: Map<string, { readonly since: number; readonly digests: Set<Digest> }>;
  readonly fresh: Set<Digest>;
  /** Withdrawn, and not yet everywhere. */
  readonly gone: Set<Digest>;
}

/** Whether there are homes whose records would grow too old. They are told everything again. */
function renew({ told }: State, now: number): boolean {
  const old = [...told].filter(([, { since }]) => since <= now - RENEW_MS);
  for (const [home] of old) told.delete(home);
  return old.length > 0;
}

/** Tells each home what it does not know yet. Answers with the homes that could not be told all of it. */
async function inform(
  parts: AnnouncerParts,
  state: State,
  digests: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const withdrawn = [...state.told].map(([home, { digests }]) => ({
    home,
    digests: [...state.gone].filter((digest) => digests.has(digest)),
  }));
  const missed = [...(await tell(parts, state, { kind: 'withdraw', notices: withdrawn }, signal))];
  for (const digest of state.gone)
    if (![...state.told.values()].some((told) => told.digests.has(digest))) state.gone.delete(digest);
  const kept = [...digests].filter((digest) => !state.gone.has(digest));
  const most = parts.approach.isLarge() ? PORTION : kept.length;
  for (let begin = 0; begin < kept.length; begin += most) {
    await parts.parting.thin(signal);
    const news = await compare(parts, state, kept.slice(begin, begin + most), signal);
    missed.push(...(await tell(parts, state, { kind: 'announce', notices: news }, signal)));
  }
  return missed;
}

/** Whether enough homes know of it. */
function isTold({ told }: State, digest: Digest): boolean {
  let homes = 0;
  for (const { digests } of told.values()) if (digests.has(digest) && ++homes === HOMES_ENOUGH) return true;
  return false;
}

/** Which home lacks which of the digests. */
async function compare(
  { approach }: AnnouncerParts,
  { told }: State,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<readonly Notice[]> {
  const lacking = new Map<string, Digest[]>();
  let turnEndsAt = performance.now() + TURN_MS;
  for (const digest of digests) {
    const knows = (home: string) => told.get(home)?.digests.has(digest) === true;
    for (const home of await approach.approach(digest, signal, knows)) {
      if (knows(home)) continue;
      const list = lacking.get(home);
      if (list) list.push(digest);
      else lacking.set(home, [digest]);
    }
    if (performance.now() < turnEndsAt) continue;
    await setImmediate();
    turnEndsAt = performance.now() + TURN_MS;
  }
  return [...lacking].map(([home, list]) => ({ home, digests: list }));
}

interface Message {
  readonly kind: News;
  readonly notices: readonly Notice[];
}

async function tell(
  { directory, report, now }: AnnouncerParts,
  { told }: State,
  { kind, notices }: Message,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wanted = notices.filter(({ digests }) => digests.length > 0);
  if (wanted.length === 0) return [];
  // Noted now: a home that begins anew meanwhile is struck off, and what it is told in this round does not count.
  const records = new Map(
    wanted.map(({ home }) => [home, told.get(home) ?? { since: now(), digests: new Set<Digest>() }]),
  );
  for (const [home, record] of records) told.set(home, record);
  const blobs = new Set<Digest>();
  for (const { home, digests } of await directory.tell(kind, wanted, signal)) {
    const known = records.get(home)?.digests;
    for (const digest of digests) {
      blobs.add(digest);
      if (kind === 'announce') known?.add(digest);
      else known?.delete(digest);
    }
  }
  if (kind === 'announce' && blobs.size > 0) report({ kind: 'announced', blobs: blobs.size });
  const isKnown = (home: string, digest: Digest) => records.get(home)?.digests.has(digest) === (kind === 'announce');
  return wanted
    .filter(({ home, digests }) => !digests.every((digest) => isKnown(home, digest)))
    .map(({ home }) => home);
}
