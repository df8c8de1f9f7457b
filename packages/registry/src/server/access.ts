import { type Catalog, type Digest, describe, Failure, type FailureCode, repositoryKey } from '@drayage/core';
import type { Actions } from '../origin/demand.ts';
import type { Caller, OriginRepository } from '../origin/types.ts';
import type { Asked } from './client-credential.ts';
import { type ClientProofParts, clientProof } from './client-proof.ts';
import { demandedBy } from './errors.ts';
import { publicProof } from './public-proof.ts';

/** Who may read what through this agent. */
export interface Access {
  /**
   * In whose name the repository may be read here. Throws `denied` when it may not, `unauthorized` with a challenge when
   * the client has yet to show a credential, `origin_unavailable` when that is unknown.
   */
  admit(asked: Asked, question: Question, signal: AbortSignal): Promise<Caller>;
  /** The credential for the origin that a request shows, for what the agent only passes on. Throws a challenge when it shows none. */
  credentialFor(asked: Asked, actions: Actions, signal: AbortSignal): Promise<Caller>;
  /** What to tell a client when the origin refused what was let through, with the failure that said so. */
  refused(asked: Asked, error: Failure, actions: Actions, signal: AbortSignal): Promise<Failure>;
}

/** What is asked of the origin to learn whether anyone may read a repository: the client's own question. */
export interface Question {
  readonly key: string;
  /** Of what is asked for, when it is asked for by digest: its holders may know more of the repository. */
  readonly digest: Digest | undefined;
  /** What the client is told when there is no such thing. */
  readonly missing: FailureCode;
  /** Undefined when the origin knows no such thing. */
  ask(remote: OriginRepository, signal: AbortSignal): Promise<unknown>;
}

export interface AccessParts extends ClientProofParts {
  readonly catalog: Catalog;
}

/** Decides by the policy of each repository. */
export function openAccess(parts: AccessParts): Access {
  const { catalog, policies, hearsay, report } = parts;
  const admitAnyone = publicProof(parts);
  const proof = clientProof(parts);

  async function admitProven(asked: Asked, question: Question, signal: AbortSignal): Promise<Caller> {
    const key = repositoryKey(asked.repository);
    const decide = (decision: 'allow' | 'stale' | 'challenge' | 'deny', reason: string) =>
      report({ kind: 'access', policy: 'proof', decision, repository: key, reason });
    try {
      const { caller, isStale } = await proof.admit(asked, question, signal);
      if (isStale) decide('stale', 'proven before the origin went away');
      else decide('allow', 'the origin accepts the credential');
      return caller;
    } catch (error) {
      if (!signal.aborted) decide(demandedBy(error) === undefined ? 'deny' : 'challenge', describe(error));
      throw error;
    }
  }

  return {
    async admit(asked, question, signal) {
      const { repository } = asked;
      const { access } = policies.for(repository);
      const decide = (decision: 'allow' | 'deny', reason: string) =>
        report({ kind: 'access', policy: access, decision, repository: repositoryKey(repository), reason });
      switch (access) {
        case 'node':
          decide('allow', 'any local caller may read it');
          return { kind: 'agent' };
        case 'public':
          try {
            decide('allow', await admitAnyone(repository, question, signal));
          } catch (error) {
            if (!signal.aborted) decide('deny', describe(error));
            throw error;
          }
          return { kind: 'anonymous' };
        case 'proof':
          return admitProven(asked, question, signal);
        case 'bypass':
          decide('deny', 'the policy is bypass');
          throw new Failure('blob_unavailable', `${repositoryKey(repository)} is left to the origin by its policy`);
      }
    },
    credentialFor: proof.credentialFor,
    async refused(asked, error, actions, signal) {
      const { access } = policies.for(asked.repository);
      if (access === 'proof' || actions !== 'pull') return proof.refused(asked, error, actions, signal);
      const key = repositoryKey(asked.repository);
      hearsay.forget(key);
      if (catalog.recallPublic(key) !== undefined) catalog.forgetPublic(key);
      return error;
    },
  };
}
