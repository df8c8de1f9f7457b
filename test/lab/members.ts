import type { Digest } from '@drayage/core';
import type { Host } from './hosts.ts';

/** What a host's agent says of another member, as far as tests ask. */
export interface ToldMember {
  readonly member: string;
  readonly quarantine?: { readonly why: string };
}

/** The name of a host's agent among the members; undefined while it has none. */
export async function identityOf({ agent }: Host): Promise<string | undefined> {
  const { identity } = (await agent.ask('/api/status')) as { identity?: string | null };
  return identity ?? undefined;
}

/** The members that a host's agent is in touch with, or leaves alone. */
export async function membersOf({ agent }: Host): Promise<readonly ToldMember[]> {
  const { members } = (await agent.ask('/api/members')) as { members: readonly ToldMember[] };
  return members;
}

/** The host whose agent decides who may fetch a blob from the origin; undefined when none of these hosts knows. */
export async function homeOf(hosts: readonly Host[], digest: Digest): Promise<Host | undefined> {
  const names = await namesOf(hosts);
  for (const { agent } of hosts) {
    const told = await agent.ask(`/api/explain/${digest}`).catch(() => undefined);
    const { blobs = [] } = (told ?? {}) as { blobs?: readonly { stories: readonly { home?: string }[] }[] };
    const home = blobs[0]?.stories[0]?.home;
    const host = home === undefined ? undefined : names.get(home);
    if (host) return host;
  }
  return undefined;
}

/** The host by the name of its agent. */
async function namesOf(hosts: readonly Host[]): Promise<ReadonlyMap<string, Host>> {
  const names = await Promise.all(hosts.map(async (host) => [(await identityOf(host)) ?? host.name, host] as const));
  return new Map(names);
}
