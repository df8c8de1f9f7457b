import { join } from 'node:path';
import { AGENT_COMMAND } from './agent.ts';
import { must } from './process.ts';

/** Whether the lab's agents form a swarm: `SWARM=0` shows the same hosts each on its own. */
export const HAS_SWARM: boolean = process.env['SWARM'] !== '0';

export const SWARM_PORT = 5052;
export const LINK_PORT = 5053;

/** Makes a swarm key, and returns its file; undefined without a swarm. */
export async function makeSwarmKey(folder: string, name = 'swarm.key'): Promise<string | undefined> {
  if (!HAS_SWARM) return undefined;
  const file = join(folder, name);
  await must(AGENT_COMMAND, ['key', 'new', file]);
  return file;
}

/** What an agent is told to be a member. */
export interface Membership {
  readonly address: string;
  /** Addresses of hosts to join. */
  readonly join: readonly string[];
  readonly keyFile: string | undefined;
}

/** The options that make an agent a member; none without a key. */
export function swarmOptions({ address, join: targets, keyFile }: Membership): string[] {
  if (keyFile === undefined) return [];
  return [
    ...['--swarm-listen', `0.0.0.0:${SWARM_PORT}`, '--link-listen', `0.0.0.0:${LINK_PORT}`],
    ...['--advertise', address, '--swarm-key-file', keyFile],
    ...targets.flatMap((target) => ['--join', target]),
  ];
}
