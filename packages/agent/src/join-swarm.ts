import type { BlobStore, Fill, Happening, Report } from '@drayage/core';
import type { Swarm, SwarmParts } from '@drayage/swarm';
import type { Config } from './config.ts';

type Keys = SwarmParts['keys'];

export interface JoinParts {
  readonly store: BlobStore;
  readonly originFill: Fill;
  readonly report: Report;
}

/** Starts this host's part in the swarm. Loaded only by an agent that has a key. */
export async function joinSwarm(config: Config, keys: Keys, parts: JoinParts): Promise<Swarm> {
  const { swarmListen, linkListen, advertise, join, zone, uploadRate, downloadRate, data: folder } = config;
  const { startSwarm } = await import('@drayage/swarm');
  const settings = { folder, keys, advertise, join, zone, uploadRate, downloadRate };
  return await startSwarm({ ...parts, ...settings, listen: swarmListen, linkListen: [linkListen] });
}

/** Lets the swarm know what the store gained and lost. */
export function announceBy(swarm: Swarm, happening: Happening): void {
  if (happening.kind === 'sealed') swarm.announce(happening.digest);
  else if (happening.kind === 'evicted') swarm.withdraw(happening.digest);
}
