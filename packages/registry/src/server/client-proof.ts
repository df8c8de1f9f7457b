import { describe, Failure, isFailure, type Report, repositoryKey } from '@drayage/core';
import type { Actions } from '../origin/demand.ts';
import type { Caller, GatedOrigins } from '../origin/types.ts';
import type { Question } from './access.ts';
import type { Challenges } from './client-challenge.ts';
import { type Asked, readCredential } from './client-credential.ts';
import { orAbort } from './flight.ts';
import { type GrantsParts, keepGrants, type Reader, type Refusal, whyRefused } from './grants.ts';
import type { Policies } from './policy.ts';
import type { Secrets } from './wrapped-token.ts';

/** Lets in whom the origin lets in, and asks it about each once in a while. */
export interface ClientProof {
  /** Throws what the client is to be told when it may not read. */
  admit(asked: Asked, question: Question, signal: AbortSignal): Promise<Admitted>;
  /** The credential that the request shows for the origin. Throws a challenge when it shows none. */
  credentialFor(asked: Asked, actions: Actions, signal: AbortSignal): Promise<Caller>;
  /** What to tell a client whose credential the origin refused after all; its proof is forgotten. */
  refused(asked: Asked, error: Failure, actions: Actions, signal: AbortSignal): Promise<Failure>;
}

interface Admitted {
  readonly caller: Caller;
  /** The origin does not answer; it did before. */
  readonly isStale: boolean;
}

export interface ClientProofParts extends GrantsParts {
  readonly origins: GatedOrigins;
  readonly policies: Policies;
  readonly challenges: Challenges;
  readonly secrets: Secrets;
  readonly report: Report;
}

export function clientProof(parts: ClientProofParts): ClientProof {
  const { policies, hearsay, report, now } = parts;
  const grants = keepGrants(parts);

  async function admit(asked: Asked, question: Question, signal: AbortSignal): Promise<Admitted> {
    const { repository } = asked;
    const reader = await readerOf(parts, asked, 'pull', signal);
    const { caller } = reader;
    const { ttlMs, staleForMs } = policies.for(repository).proof;
    const { provenAt, credentialEndsAt = Number.POSITIVE_INFINITY } = grants.find(reader) ?? {};
    if (provenAt !== undefined && now() < Math.min(provenAt + ttlMs, credentialEndsAt)) {
      return { caller, isStale: false };
    }
    const refusal = grants.refusal(reader);
    if (refusal) throw await refusalFor(parts, asked, { why: refusal, actions: 'pull' }, signal);

    const mayBeStale = provenAt !== undefined && now() - provenAt <= staleForMs;
    const verdict = grants.prove(reader, question);
    if (mayBeStale && hearsay.silence.isSilent(repository.origin)) {
      // Nobody waits for a silent origin who has proven it before; but it is asked, and counts once it answers.
      verdict.catch(tellUnlessFailure);
      return { caller, isStale: true };
    }
    try {
      const said = await orAbort(verdict, signal);
      if (said === 'granted') return { caller, isStale: false };
      if (said === 'missing') throw new Failure(question.missing, `${repositoryKey(repository)} has no such thing`);
      throw await refusalFor(parts, asked, { why: said, actions: 'pull' }, signal);
    } catch (error) {
      if (!mayBeStale || !isFailure(error, 'origin_unavailable')) throw error;
      return { caller, isStale: true };
    }
  }

  function tellUnlessFailure(error: unknown): void {
    if (!isFailure(error)) report({ kind: 'error', where: 'access', problem: describe(error) });
  }

  return {
    admit,
    async credentialFor(asked, actions, signal) {
      return (await readerOf(parts, asked, actions, signal)).caller;
    },
    async refused(asked, error, actions, signal) {
      const why = whyRefused(error) ?? 'insufficient';
      const reader = await readerOf(parts, asked, actions, signal);
      // A refusal that is repeated to the client is no news of the origin.
      // Nor does it say anything of reading that somebody may not push.
      if (actions === 'pull' && grants.refusal(reader) === undefined) grants.refuse(reader, why);
      return refusalFor(parts, asked, { why, actions }, signal);
    },
  };
}

/** Who reads, by the credential that the request shows. Throws a challenge when it shows none that can be used. */
async function readerOf(
  { origins, challenges, secrets, now }: ClientProofParts,
  asked: Asked,
  actions: Actions,
  signal: AbortSignal,
): Promise<Reader> {
  const { repository } = asked;
  const { origin } = repository;
  const demand = await origins.gate(origin).demand(signal);
  // Whoever asks for nothing is shown nothing.
  if (!demand) return { repository, caller: { kind: 'anonymous' }, expiresAt: undefined };
  const shown = readCredential(asked, demand.scheme === 'bearer' ? demand.service : undefined, { secrets, now });
  if (shown.kind === 'credential') return { repository, ...shown };
  if (shown.kind === 'elsewhere') throw new Failure('denied', `the credential is not meant for ${origin}`);
  throw challenges.for(asked, demand, { actions, ...(shown.kind === 'invalid' && { error: 'invalid_token' }) });
}

async function refusalFor(
  { origins, challenges }: ClientProofParts,
  asked: Asked,
  { why, actions }: { readonly why: Refusal; readonly actions: Actions },
  signal: AbortSignal,
): Promise<Failure> {
  const demand = why === 'invalid' ? await origins.gate(asked.repository.origin).demand(signal) : undefined;
  if (demand) return challenges.for(asked, demand, { actions, error: 'invalid_token' });
  return new Failure('denied', `${repositoryKey(asked.repository)} is not open to this credential`);
}
