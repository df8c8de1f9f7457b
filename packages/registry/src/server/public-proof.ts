import {
  type Catalog,
  describe,
  Failure,
  isFailure,
  orAbort,
  PUBLIC_FRESH_MS,
  type Report,
  type Repository,
  repositoryKey,
} from '@drayage/core';
import type { Origins } from '../origin/types.ts';
import type { Question } from './access.ts';
import { setBounded, singleFlight, within } from './flight.ts';
import type { Hearsay } from './hearsay.ts';

/** Says why anyone may read the repository. Throws `denied` when not, `origin_unavailable` when that cannot be found out. */
export type AdmitAnyone = (repository: Repository, question: Question, signal: AbortSignal) => Promise<string>;

export interface PublicProofParts {
  readonly origins: Origins;
  readonly catalog: Catalog;
  readonly hearsay: Hearsay;
  readonly report: Report;
  readonly now: () => number;
}

const PUBLIC_STALE_MS = 7 * PUBLIC_FRESH_MS;
const PRIVATE_FRESH_MS = 5 * 60 * 1000;
const PRIVATE_KEPT_MAX = 4096;
const ACCESS_WAIT_MS = 4_000;

type Verdict = 'public' | 'private' | 'missing';

/**
 * Finds out whether a repository is public by asking its origin without a credential, and remembers what it said. While
 * the origin is silent, what it said last counts, and for want of that the word of a member.
 */
export function publicProof({ origins, catalog, hearsay, report, now }: PublicProofParts): AdmitAnyone {
  const flights = singleFlight<Verdict>();
  const refusedAt = new Map<string, number>();
  return admitAnyone;

  async function admitAnyone(repository: Repository, question: Question, signal: AbortSignal): Promise<string> {
    const key = repositoryKey(repository);
    if (since(catalog.recallPublic(key)) < PUBLIC_FRESH_MS) return 'public';
    if (since(refusedAt.get(key)) < PRIVATE_FRESH_MS) throw denied(key);
    const verdict = shared(key, repository, question);
    if (hearsay.silence.isSilent(repository.origin)) {
      // Nobody waits for a silent origin who has another way to know; but it is asked, and counts once it answers.
      verdict.catch(tellUnlessFailure);
      const why = await whyWithoutOrigin(key, question, signal);
      if (why !== undefined) return why;
    }
    try {
      return judged(await orAbort(verdict, signal), repository, question);
    } catch (error) {
      if (!isFailure(error, 'origin_unavailable')) throw error;
      const why = await whyWithoutOrigin(key, question, signal);
      if (why === undefined) throw error;
      return why;
    }
  }

  function since(at: number | undefined): number {
    return at === undefined ? Number.POSITIVE_INFINITY : now() - at;
  }

  async function whyWithoutOrigin(key: string, { digest }: Question, signal: AbortSignal): Promise<string | undefined> {
    if (since(catalog.recallPublic(key)) <= PUBLIC_STALE_MS) return 'public, proven before the origin went away';
    // Others may have proven it before the origin refused us.
    if (digest === undefined || since(refusedAt.get(key)) < PUBLIC_FRESH_MS) return undefined;
    const isSaid = hearsay.isPublic(key) || (await hearsay.ask(key, digest, signal));
    return isSaid ? 'public, says a member that proved it; the origin is away' : undefined;
  }

  async function shared(key: string, repository: Repository, question: Question): Promise<Verdict> {
    let own = false;
    const verdict = await flights(key, () => {
      own = true;
      return ask(repository, question);
    });
    // What another client did not find says nothing about this question.
    return own || verdict !== 'missing' ? verdict : flights(`${key} ${question.key}`, () => ask(repository, question));
  }

  async function ask(repository: Repository, question: Question): Promise<Verdict> {
    const key = repositoryKey(repository);
    const { origin, path } = repository;
    const remote = origins.repository(origin, path, { kind: 'anonymous' });
    try {
      const what = `asking ${origin} whether ${path} is public`;
      const answer = within(ACCESS_WAIT_MS, what, (signal) => question.ask(remote, signal));
      if ((await hearsay.silence.watch({ origin, key }, answer)) === undefined) return 'missing';
      refusedAt.delete(key);
      catalog.rememberPublic(key);
      return 'public';
    } catch (error) {
      if (!isFailure(error, 'denied') && !isFailure(error, 'unauthorized')) throw error;
      if (catalog.recallPublic(key) !== undefined) catalog.forgetPublic(key);
      setBounded(refusedAt, [key, now()], PRIVATE_KEPT_MAX);
      return 'private';
    }
  }

  function tellUnlessFailure(error: unknown): void {
    if (!isFailure(error)) report({ kind: 'error', where: 'access', problem: describe(error) });
  }
}

function judged(verdict: Verdict, { origin, path }: Repository, { missing }: Question): string {
  if (verdict === 'private') throw denied(repositoryKey({ origin, path }));
  if (verdict === 'missing') throw new Failure(missing, `${origin} has no such thing in ${path}`);
  return 'public';
}

function denied(repository: string): Failure {
  return new Failure('denied', `${repository} is not public at its origin, and the access policy here is public`);
}
