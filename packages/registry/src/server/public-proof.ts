import { type Catalog, Failure, isFailure, type Repository, repositoryKey } from '@drayage/core';
import type { Origins } from '../origin/types.ts';
import type { Question } from './access.ts';
import { orAbort, setBounded, singleFlight, within } from './flight.ts';

/** Says why anyone may read the repository. Throws `denied` when not, `origin_unavailable` when that cannot be found out. */
export type AdmitAnyone = (repository: Repository, question: Question, signal: AbortSignal) => Promise<string>;

export interface PublicProofParts {
  readonly origins: Origins;
  readonly catalog: Catalog;
  readonly now: () => number;
}

const HOUR_MS = 3600 * 1000;
const PUBLIC_FRESH_MS = 24 * HOUR_MS;
const PUBLIC_STALE_MS = 7 * 24 * HOUR_MS;
const PRIVATE_FRESH_MS = 5 * 60 * 1000;
const PRIVATE_KEPT_MAX = 4096;
const ACCESS_WAIT_MS = 4_000;

type Verdict = 'public' | 'private' | 'missing';

/** Finds out whether a repository is public by asking its origin without a credential, and remembers what it said. */
export function publicProof({ origins, catalog, now }: PublicProofParts): AdmitAnyone {
  const flights = singleFlight<Verdict>();
  const privateUntil = new Map<string, number>();
  return admitAnyone;

  async function admitAnyone(repository: Repository, question: Question, signal: AbortSignal): Promise<string> {
    const key = repositoryKey(repository);
    const provenAt = catalog.recallPublic(key);
    const age = provenAt === undefined ? Number.POSITIVE_INFINITY : now() - provenAt;
    if (age < PUBLIC_FRESH_MS) return 'public';
    if ((privateUntil.get(key) ?? 0) > now()) throw denied(key);
    try {
      const verdict = await orAbort(shared(key, repository, question), signal);
      if (verdict === 'public') return 'public';
      if (verdict === 'private') throw denied(key);
      throw new Failure(question.missing, `${repository.origin} has no such thing in ${repository.path}`);
    } catch (error) {
      if (!isFailure(error, 'origin_unavailable') || age > PUBLIC_STALE_MS) throw error;
      return 'public, proven before the origin went away';
    }
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
    const remote = origins.repository(repository.origin, repository.path, { kind: 'anonymous' });
    try {
      const what = `asking ${repository.origin} whether ${repository.path} is public`;
      const found = await within(ACCESS_WAIT_MS, what, (signal) => question.ask(remote, signal));
      if (found === undefined) return 'missing';
      privateUntil.delete(key);
      catalog.rememberPublic(key);
      return 'public';
    } catch (error) {
      if (!isFailure(error, 'denied') && !isFailure(error, 'unauthorized')) throw error;
      if (catalog.recallPublic(key) !== undefined) catalog.forgetPublic(key);
      setBounded(privateUntil, [key, now() + PRIVATE_FRESH_MS], PRIVATE_KEPT_MAX);
      return 'private';
    }
  }
}

function denied(repository: string): Failure {
  return new Failure('denied', `${repository} is not public at its origin, and the access policy here is public`);
}
