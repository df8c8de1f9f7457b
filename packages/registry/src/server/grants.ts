import { Failure, isFailure, type Repository, repositoryKey } from '@drayage/core';
import { challengeOf } from '../origin/refusal.ts';
import { type Caller, callerKey, type Origins } from '../origin/types.ts';
import type { Question } from './access.ts';
import { checkBudget } from './check-budget.ts';
import { setBounded, singleFlight, within } from './flight.ts';
import type { Hearsay } from './hearsay.ts';

/** What origins said about who may read what. In memory only, and nothing in it can be shown to an origin. */
export interface Grants {
  /** The last time that the origin let this credential read. */
  find(reader: Reader): Grant | undefined;
  /** Why the origin refused it a moment ago. */
  refusal(reader: Reader): Refusal | undefined;
  /** Asks the origin, once for all who ask at the same time. Throws `origin_unavailable` when it does not say. */
  prove(reader: Reader, question: Question): Promise<Verdict>;
  /** The origin refused it: what it said before no longer counts. */
  refuse(reader: Reader, why: Refusal): void;
}

/** A credential, and the repository it is shown for. */
export interface Reader {
  readonly repository: Repository;
  readonly caller: Caller;
  /** The end of the credential's own life, as far as it can be read. */
  readonly expiresAt: number | undefined;
}

interface Grant {
  readonly provenAt: number;
  readonly credentialEndsAt: number | undefined;
}

/** The credential is over or unknown to the origin; or it is good, but not for this repository. */
export type Refusal = 'invalid' | 'insufficient';
type Verdict = 'granted' | 'missing' | Refusal;

export interface GrantsParts {
  readonly origins: Origins;
  readonly hearsay: Hearsay;
  readonly now: () => number;
}

const GRANTS_MAX = 16_384;
const REFUSALS_MAX = 4096;
/** So long a refused credential is refused without asking again. */
const REFUSED_FRESH_MS = 10_000;
const CHECK_WAIT_MS = 4_000;

export function keepGrants({ origins, hearsay, now }: GrantsParts): Grants {
  const grants = new Map<string, Grant>();
  const refusals = new Map<string, { readonly why: Refusal; readonly at: number }>();
  const flights = singleFlight<Verdict>();
  const budget = checkBudget(now);

  function refuse(reader: Reader, why: Refusal): void {
    grants.delete(keyOf(reader));
    setBounded(refusals, [keyOf(reader), { why, at: now() }], REFUSALS_MAX);
  }

  async function check(reader: Reader, question: Question): Promise<Verdict> {
    const { repository, caller, expiresAt } = reader;
    const { origin, path } = repository;
    const key = keyOf(reader);
    if (!budget.take(origin, grants.has(key))) {
      throw new Failure('origin_unavailable', `${origin} is asked too often who may read ${path}`);
    }
    const remote = origins.repository(origin, path, caller);
    const what = `asking ${origin} whether a client may read ${path}`;
    try {
      const answer = within(CHECK_WAIT_MS, what, (late) => question.ask(remote, late));
      const found = await hearsay.silence.watch({ origin, key: repositoryKey(repository) }, answer);
      if (found === undefined) {
        grants.delete(key);
        return 'missing';
      }
      refusals.delete(key);
      setBounded(grants, [key, { provenAt: now(), credentialEndsAt: expiresAt }], GRANTS_MAX);
      return 'granted';
    } catch (error) {
      const why = whyRefused(error);
      if (why === undefined) throw error;
      refuse(reader, why);
      return why;
    }
  }

  return {
    find: (reader) => grants.get(keyOf(reader)),
    refusal(reader) {
      const refusal = refusals.get(keyOf(reader));
      return refusal && now() - refusal.at < REFUSED_FRESH_MS ? refusal.why : undefined;
    },
    async prove(reader, question) {
      const key = keyOf(reader);
      let own = false;
      const verdict = await flights(key, () => {
        own = true;
        return check(reader, question);
      });
      // What another request did not find says nothing about this question.
      if (own || verdict !== 'missing') return verdict;
      return flights(`${key} ${question.key}`, () => check(reader, question));
    },
    refuse,
  };
}

function keyOf({ repository, caller }: Reader): string {
  return `${callerKey(caller)} ${repositoryKey(repository)}`;
}

/** Undefined when the origin did not refuse. */
export function whyRefused(error: unknown): Refusal | undefined {
  if (isFailure(error, 'denied')) return 'insufficient';
  if (!isFailure(error, 'unauthorized')) return undefined;
  // Some origins answer 401 to a good token that is not enough: asking for it again would not help.
  return challengeOf(error)?.includes('error="insufficient_scope"') ? 'insufficient' : 'invalid';
}
