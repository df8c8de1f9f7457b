import { type Digest, isFailure, type Members, orAbort } from '@drayage/core';
import type { Child } from '../origin/manifest.ts';
import type { Caller } from '../origin/types.ts';
import { setBounded, singleFlight } from './flight.ts';

/**
 * What other members say of repositories while their origin is silent. It is asked for only then, is kept apart from what
 * this host proved itself, is never passed on, and is forgotten after an hour or as soon as the origin answers.
 */
export interface Hearsay {
  /** Asks members that hold the blob whether they proved the repository public, and saw the blob in it. */
  ask(repository: string, digest: Digest, signal: AbortSignal): Promise<boolean>;
  /** A member said so within the hour. */
  isPublic(repository: string): boolean;
  belongs(digest: Digest, repository: string): boolean;
  /** What is named by a manifest that belongs by hearsay belongs by hearsay. */
  extend(repository: string, children: readonly Child[]): void;
  /** The size of a blob that was named by such a manifest. */
  sizeOf(digest: Digest): number | undefined;
  /** The origin refused what members vouched for. */
  forget(repository: string): void;
  readonly silence: Silence;
}

/** Which origins did not answer lately. One that answers ends what members said of the repository it answers for. */
interface Silence {
  isSilent(origin: string): boolean;
  /** The outcome of a question to the origin about a repository. Gives it back, or throws it again. */
  watch<T>(place: { readonly origin: string; readonly key: string }, answer: Promise<T>): Promise<T>;
}

const WORD_LIFE_MS = 3600 * 1000;
/** So long nobody is asked again what nobody vouched for. */
const NO_WORD_LIFE_MS = 1000;
const NO_WORDS_MAX = 4096;
const WORD_WAIT_MS = 1500;
const REPOSITORIES_MAX = 256;
const DIGESTS_PER_REPOSITORY_MAX = 8192;
const SIZES_MAX = 16_384;
/** So long after an origin gave no answer nobody waits for it who has another way to know. */
const SILENT_MS = 30_000;
const ORIGINS_MAX = 1024;

interface Word {
  readonly until: number;
  readonly digests: Map<Digest, true>;
}

export function keepHearsay(members: Members | undefined, now: () => number): Hearsay {
  const words = new Map<string, Word>();
  const sizes = new Map<Digest, number>();
  const deniedAt = new Map<string, number>();
  const questions = singleFlight<boolean>();

  function wordOn(repository: string): Word | undefined {
    const word = words.get(repository);
    if (word === undefined || word.until > now()) return word;
    words.delete(repository);
    return undefined;
  }

  async function askMembers(repository: string, digest: Digest): Promise<boolean> {
    const question = `${repository}@${digest}`;
    if (now() - (deniedAt.get(question) ?? Number.NEGATIVE_INFINITY) < NO_WORD_LIFE_MS) return false;
    const late = AbortSignal.timeout(WORD_WAIT_MS);
    const isTrue = (await members?.vouch(repository, digest, late).catch(() => false)) ?? false;
    if (!isTrue) {
      setBounded(deniedAt, [question, now()], NO_WORDS_MAX);
      return false;
    }
    const word = wordOn(repository) ?? { until: now() + WORD_LIFE_MS, digests: new Map() };
    setBounded(words, [repository, word], REPOSITORIES_MAX);
    setBounded(word.digests, [digest, true], DIGESTS_PER_REPOSITORY_MAX);
    return true;
  }

  return {
    ask: (repository, digest, signal) =>
      orAbort(
        questions(`${repository}@${digest}`, () => askMembers(repository, digest)),
        signal,
      ),
    isPublic: (repository) => wordOn(repository) !== undefined,
    belongs: (digest, repository) => wordOn(repository)?.digests.has(digest) ?? false,
    extend(repository, children) {
      const word = wordOn(repository);
      for (const { digest, size } of children) {
        if (word) setBounded(word.digests, [digest, true], DIGESTS_PER_REPOSITORY_MAX);
        setBounded(sizes, [digest, size], SIZES_MAX);
      }
    },
    sizeOf: (digest) => sizes.get(digest),
    forget: (repository) => void words.delete(repository),
    silence: watchSilence((repository) => words.delete(repository), now),
  };
}

function watchSilence(forget: (repository: string) => void, now: () => number): Silence {
  const silentUntil = new Map<string, number>();
  return {
    isSilent: (origin) => (silentUntil.get(origin) ?? 0) > now(),
    async watch({ origin, key }, answer) {
      try {
        const said = await answer;
        heard();
        return said;
      } catch (error) {
        if (isFailure(error, 'origin_unavailable')) setBounded(silentUntil, [origin, now() + SILENT_MS], ORIGINS_MAX);
        else if (isFailure(error)) heard();
        throw error;
      }

      function heard(): void {
        silentUntil.delete(origin);
        forget(key);
      }
    },
  };
}

interface Doubtful {
  readonly key: string;
  readonly digest: Digest;
  readonly remote: { readonly origin: string };
  readonly caller: Caller;
}

/** What the origin answers; `heard` when it does not, and a member vouches for the blob. Else fails as the origin's answer does. */
export async function askOrHear<T>(
  hearsay: Hearsay,
  { key, digest, remote: { origin }, caller }: Doubtful,
  ask: () => Promise<T>,
  signal: AbortSignal,
): Promise<T | 'heard'> {
  // Of what is not for everyone no member's word counts.
  const isHeard = async () => caller.kind === 'anonymous' && (await hearsay.ask(key, digest, signal));
  if (hearsay.silence.isSilent(origin) && (await isHeard())) return 'heard';
  try {
    return await hearsay.silence.watch({ origin, key }, ask());
  } catch (error) {
    if (isFailure(error, 'origin_unavailable') && (await isHeard())) return 'heard';
    throw error;
  }
}
