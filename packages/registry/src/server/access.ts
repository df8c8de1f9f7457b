import {
  type Catalog,
  type Digest,
  describe,
  Failure,
  type FailureCode,
  type Report,
  type Repository,
  repositoryKey,
} from '@drayage/core';
import type { Caller, OriginRepository, Origins } from '../origin/types.ts';
import type { Hearsay } from './hearsay.ts';
import type { Policies } from './policy.ts';
import { publicProof } from './public-proof.ts';

/** Who may read what through this agent. */
export interface Access {
  /** In whose name the repository may be read here. Throws `denied` when it may not, `origin_unavailable` when that is unknown. */
  admit(repository: Repository, question: Question, signal: AbortSignal): Promise<Caller>;
  /** The origin refused what it once let anyone read. */
  refused(repository: Repository): void;
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

export interface AccessParts {
  readonly origins: Origins;
  readonly catalog: Catalog;
  readonly policies: Policies;
  readonly hearsay: Hearsay;
  readonly report: Report;
  readonly now: () => number;
}

/** Decides by the policy of each repository. */
export function openAccess({ origins, catalog, policies, hearsay, report, now }: AccessParts): Access {
  const admitAnyone = publicProof({ origins, catalog, hearsay, report, now });

  return {
    async admit(repository, question, signal) {
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
        case 'bypass':
        case 'proof': {
          const why = access === 'proof' ? 'proof of access is not supported yet' : 'the policy is bypass';
          decide('deny', why);
          throw new Failure('blob_unavailable', `${repositoryKey(repository)} is left to the origin: ${why}`);
        }
      }
    },
    refused(repository) {
      const key = repositoryKey(repository);
      hearsay.forget(key);
      if (catalog.recallPublic(key) !== undefined) catalog.forgetPublic(key);
    },
  };
}
