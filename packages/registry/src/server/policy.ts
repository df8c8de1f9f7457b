import type { Repository } from '@drayage/core';

export type AccessPolicy = 'public' | 'proof' | 'node' | 'bypass';

/** How long a tag's last answer is taken as it is, and for how long it helps out while the origin is away. */
export interface TagRule {
  readonly pattern: string;
  readonly ttlMs: number;
  readonly staleForMs: number;
}

/** What holds for one repository. The first tag rule whose pattern fits a tag counts. */
export interface Policy {
  readonly access: AccessPolicy;
  readonly tags: readonly TagRule[];
  /** Whether clients may push through this agent. */
  readonly push: boolean;
}

export interface Policies {
  for(repository: Repository): Policy;
}

/** The settings of one origin. The first repository pattern that fits a path counts; what it leaves out comes from the origin. */
export interface OriginRules {
  readonly access?: AccessPolicy | undefined;
  readonly tags?: readonly TagRule[] | undefined;
  readonly push?: boolean | undefined;
  readonly repositories?: readonly RepositoryRules[] | undefined;
}

export interface RepositoryRules {
  readonly pattern: string;
  readonly access?: AccessPolicy | undefined;
  readonly tags?: readonly TagRule[] | undefined;
}

const STALE_FOR_MS = 7 * 24 * 3600 * 1000;
const ANY_TAG: TagRule = { pattern: '*', ttlMs: 0, staleForMs: STALE_FOR_MS };

/** The policies that plain settings per origin name describe. */
export function policies(rules: Readonly<Record<string, OriginRules>>): Policies {
  const byOrigin = new Map(Object.entries(rules));
  return {
    for({ origin, path }) {
      const own = byOrigin.get(origin);
      const repository = own?.repositories?.find(({ pattern }) => fits(pattern, path));
      const access = repository?.access ?? own?.access ?? 'public';
      return {
        access,
        push: own?.push === true && access !== 'bypass',
        tags: [...(repository?.tags ?? []), ...(own?.tags ?? []), ANY_TAG],
      };
    },
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
