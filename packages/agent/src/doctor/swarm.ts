import { connect } from 'node:net';
import { describe } from '@drayage/core';
import type { MemberStatus } from '@drayage/swarm';
import { parseAddress } from '../address.ts';
import type { AgentStatus } from '../agent-status.ts';
import type { Config } from '../config.ts';
import { readSwarmKeys } from '../swarm-keys.ts';
import { idleOptions } from '../swarm-options.ts';
import type { Finding } from './finding.ts';

const DIAL_MS = 3000;
const MEMBERS_DIALLED_MAX = 8;

/** What the running agent says of itself; undefined when none answers. */
export interface Seen<Status = Pick<AgentStatus, 'identity' | 'addresses'>> {
  readonly status: Status;
  readonly members: readonly MemberStatus[];
}

/** Looks at the key, at the ports, and at who is there. */
export async function checkSwarm(config: Config, seen: Seen | undefined): Promise<readonly Finding[]> {
  const about = 'swarm';
  const idle = idleOptions(config);
  if (idle.length > 0) {
    const finding = `without --swarm-key-file these do nothing: ${idle.join(', ')}`;
    return [
      { about, state: 'warning', finding, advice: 'make a key with: drayage key new FILE, and give it to every host' },
    ];
  }
  const key = await checkKey(config.swarmKeyFile);
  const { identity, addresses } = seen?.status ?? {};
  if (!seen || !identity) {
    if (key.some(({ state }) => state === 'bad') || seen === undefined) return key;
    if (config.swarmKeyFile === undefined)
      return [{ about, state: 'good', finding: 'none: this agent has no swarm key' }];
    return [...key, { about, state: 'warning', finding: 'the running agent has no key', advice: 'start it again' }];
  }
  const own = await Promise.all((addresses?.links ?? []).map((address) => checkPort('the link port', address)));
  return [...key, ...own.flat(), ...(await checkMembers(seen.members, config))];
}

async function checkKey(file: string | undefined): Promise<readonly Finding[]> {
  if (file === undefined) return [];
  const about = 'swarm key';
  try {
    const keys = await readSwarmKeys(file);
    return [{ about, state: 'good', finding: `${file} holds ${keys.map(({ id }) => id).join(' and ')}` }];
  } catch (error) {
    return [{ about, state: 'bad', finding: describe(error), advice: 'give every host the same file, mode 0600' }];
  }
}

async function checkMembers(members: readonly MemberStatus[], { join }: Config): Promise<readonly Finding[]> {
  const about = 'members';
  if (members.length === 0) {
    if (join.length === 0) {
      return [{ about, state: 'good', finding: 'none yet, and none was named: others join this host' }];
    }
    const advice = 'are they up, with the same key, and is TCP 5052 open between the hosts?';
    return [{ about, state: 'warning', finding: 'none is in touch, though --join names some', advice }];
  }
  const findings: Finding[] = [{ about, state: 'good', finding: `${members.length} in touch` }];
  for (const { member, quarantine } of members) {
    if (quarantine?.why !== 'lie') continue;
    const advice = 'look at its disk and memory';
    findings.push({ about, state: 'warning', finding: `${member} sent wrong bytes and is left alone`, advice });
  }
  const dialled = members.slice(0, MEMBERS_DIALLED_MAX).map(({ addresses }) => addresses[0]);
  const reached = await Promise.all(dialled.map((address) => (address ? checkPort('a member', address) : [])));
  return [...findings, ...reached.flat()];
}

/** Nothing when something accepts there. */
async function checkPort(what: string, address: string): Promise<readonly Finding[]> {
  const { host, port } = parseAddress(address);
  const isOpen = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: host === '0.0.0.0' ? '127.0.0.1' : host, port, timeout: DIAL_MS });
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
  if (isOpen) return [];
  const advice = 'open that port between the hosts (TCP 5053 unless --link-listen says otherwise)';
  return [{ about: 'links', state: 'warning', finding: `${what} cannot be reached at ${address}`, advice }];
}
