import type { Repository } from '@drayage/core';

export type AccessPolicy = 'public' | 'proof' | 'node' | 'bypass';

/** How long a tag's last answer is taken as it is, and for how long it helps out while the origin is away. */
export interface TagRule {
  readonly pattern: string;
  readonly ttlMs: number;
  readonly staleForMs: number;
}

/** How long a proof that a client may read is taken as it is, and for how long it helps out while the origin is away. */
export interface ProofRule {
  readonly ttlMs: number;
  readonly staleForMs: number;
}

/** What holds for one repository. The first tag rule whose pattern fits a tag counts. */
export interface Policy {
  readonly access: AccessPolicy;
  readonly proof: ProofRule;
  /** Clients may push to it through the agent. */
  readonly push: boolean;
  readonly tags: readonly TagRule[];
}

export interface Policies {
  for(repository: Repository): Policy;
  /** The origins at which clients need a credential of their own: to read on proof, or to push. */
  asking(): readonly string[];
}

/** The settings of one origin. The first repository pattern that fits a path counts; what it leaves out comes from the origin. */
export interface OriginRules {
  readonly access?: AccessPolicy | undefined;
  readonly proof?: ProofRule | undefined;
  readonly push?: boolean | undefined;
  readonly tags?: readonly TagRule[] | undefined;
  readonly repositories?: readonly RepositoryRules[] | undefined;
}

export interface RepositoryRules {
  readonly pattern: string;
  readonly access?: AccessPolicy | undefined;
  readonly tags?: readonly TagRule[] | undefined;
}

/** As long as a proof counts unless the operator says less. */
export const PROOF_MAX: ProofRule = { ttlMs: 15 * 60 * 1000, staleForMs: 24 * 3600 * 1000 };
const STALE_FOR_MS = 7 * 24 * 3600 * 1000;
const ANY_TAG: TagRule = { pattern: '*', ttlMs: 0, staleForMs: STALE_FOR_MS };

/** The policies that plain settings per origin name describe. */
export function policies(rules: Readonly<Record<string, OriginRules>>): Policies {
  const byOrigin = new Map(Object.entries(rules));
  const asks = ({ access, push, repositories = [] }: OriginRules) =>
    (push === true && access !== 'node') ||
    access === 'proof' ||
    repositories.some((repository) => repository.access === 'proof');
  const asking = [...byOrigin].filter(([, own]) => asks(own)).map(([name]) => name);
  return {
    for({ origin, path }) {
      const own = byOrigin.get(origin);
      const repository = own?.repositories?.find(({ pattern }) => fits(pattern, path));
      const access = repository?.access ?? own?.access ?? 'public';
      return {
        access,
        proof: own?.proof ?? PROOF_MAX,
        push: own?.push === true && access !== 'bypass',
        tags: [...(repository?.tags ?? []), ...(own?.tags ?? []), ANY_TAG],
      };
    },
    asking: () => asking,
  };
}

/** The rule that counts for a tag. */
export function tagRule(policy: Policy, tag: string): TagRule {
  return policy.tags.find(({ pattern }) => fits(pattern, tag)) ?? ANY_TAG;
}

/** Whether the text fits a pattern in which `*` stands for any run of characters. Takes linear time. */
export function fits(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return text === pattern;
  if (!text.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - tail.length >= at && text.endsWith(tail);
}
