import { type Digest, describe, type Fill, type Happening, provenHere, type Report } from '@drayage/core';
import type { Store } from '@drayage/store';
import type { Swarm, SwarmParts } from '@drayage/swarm';
import type { Config } from './config.ts';

/** A runtime's own store says nothing by itself of what it gains and loses. */
const CONTENT_LOOK_MS = 60_000;

export interface JoinParts {
  readonly keys: SwarmParts['keys'];
  readonly store: Store;
  readonly originFill: Fill;
  readonly report: Report;
}

/** Starts this host's part in the swarm. Loaded only by an agent that has a key. */
export async function joinSwarm(config: Config, parts: JoinParts): Promise<Swarm> {
  const { swarmListen, linkListen, advertise, join, zone, uploadRate, downloadRate, data: folder } = config;
  const { store, report } = parts;
  const { startSwarm } = await import('@drayage/swarm');
  const content = new Set<Digest>(await store.listContent());
  const held = () => [...store.list().map(({ digest }) => digest), ...content];
  const isProven = provenHere(store.catalog, Date.now);
  const settings = { folder, advertise, join, zone, uploadRate, downloadRate, held, isProven };
  const swarm = await startSwarm({ ...parts, ...settings, listen: swarmListen, linkListen: [linkListen] });

  async function look(): Promise<void> {
    const now = new Set(await store.listContent());
    for (const digest of now) if (!content.has(digest)) swarm.announce(digest);
    for (const digest of content) if (!now.has(digest) && store.sizeOf(digest) === undefined) swarm.withdraw(digest);
    content.clear();
    for (const digest of now) content.add(digest);
  }

  const looking = setInterval(() => {
    look().catch((error: unknown) => report({ kind: 'error', where: 'content', problem: describe(error) }));
  }, CONTENT_LOOK_MS).unref();
  return {
    ...swarm,
    async [Symbol.asyncDispose]() {
      clearInterval(looking);
      await swarm[Symbol.asyncDispose]();
    },
  };
}

/** Lets the swarm know what the store gained and lost. */
export function announceBy(swarm: Swarm, happening: Happening): void {
  if (happening.kind === 'sealed') swarm.announce(happening.digest);
  else if (happening.kind === 'evicted') swarm.withdraw(happening.digest);
}
