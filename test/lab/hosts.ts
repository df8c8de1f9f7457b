import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST, type Agent, type AgentOptions, type Place, startAgent } from './agent.ts';
import { type Errands, startErrands } from './errands.ts';
import { type HostImage, type HostOrigin, startHostOrigin } from './host-origin.ts';
import { membersOf } from './members.ts';
import { type Network, type Port, type Rates, startNetwork } from './network.ts';
import { must, until } from './process.ts';
import type { PullReport } from './pull-image.ts';
import { HAS_SWARM, makeSwarmKey, swarmOptions } from './swarm-options.ts';

export interface HostsOptions {
  readonly folder: string;
  readonly hosts: number;
  /** Of every host's link, both ways, in Mbit/s. */
  readonly hostMbit?: number;
  /** Of what the origin may send, in Mbit/s. */
  readonly originMbit?: number;
  /** Further options of every agent. */
  readonly more?: readonly string[];
}

/** Several hosts, each with an agent on its own loopback, and one origin. */
export interface Hosts extends AsyncDisposable {
  readonly hosts: readonly Host[];
  readonly origin: HostOrigin;
  readonly network: Network;
  /** A folder in memory. */
  readonly folder: string;
  /** Adds a host whose agent has yet to be started, and which is not among `hosts`. */
  add(): Promise<Host>;
}

export interface Host {
  readonly name: string;
  readonly address: string;
  readonly port: Port;
  readonly errands: Errands;
  /** In memory. */
  readonly folder: string;
  /** Starts its agent: on the host's usual ports, and in the swarm where there is one. */
  start(how?: StartOptions): Promise<Agent>;
  readonly agent: Agent;
  /** Pulls as a runtime does, through the agent or from the registry at the base that is given. */
  pull(image: HostImage, from?: PullFrom): Promise<PullReport>;
}

interface StartOptions extends Pick<AgentOptions, 'command' | 'env'> {
  readonly more?: readonly string[] | undefined;
  /** In the place of what makes it a member of the lab's swarm. */
  readonly swarm?: readonly string[];
}

export interface PullFrom {
  readonly base?: string;
  readonly byDigest?: boolean;
}

const LOCAL_AGENT = `http://${AGENT_HOST}`;
const PULL_BOUND_MS = 400_000;
const READY_WAIT_MS = 120_000;
/** Agents that start at once: more would only take turns. */
const STARTS_AT_ONCE = 4;
const FIRST_ADDRESS = 11;
const JOIN_TARGETS = 2;
/** An agent that knows so many others, or all there are, is in. */
const MEMBERS_ENOUGH = 6;
const JOIN_WAIT_MS = 60_000;

/** Starts the network, the origin, and every host with its agent. */
export async function startHosts({ folder, hosts: count, hostMbit, originMbit, more }: HostsOptions): Promise<Hosts> {
  await using stack = new AsyncDisposableStack();
  const memory = join(folder, 'memory');
  mkdirSync(memory, { recursive: true });
  await must('mount', ['-t', 'tmpfs', '-o', 'size=80%,mode=700', 'tmpfs', memory]);
  stack.defer(async () => void (await must('umount', ['-l', memory])));
  const network = stack.use(await startNetwork());
  const origin = stack.use(await startHostOrigin(network, join(memory, 'origin'), { upMbit: originMbit }));
  const keyFile = await makeSwarmKey(memory);
  const whatHostsHold = stack.use(new AsyncDisposableStack());
  let added = 0;
  const add = async (): Promise<Host> => {
    const number = added++;
    return await addHost({
      stack: whatHostsHold,
      network,
      originUrl: origin.url,
      name: `h${number + 1}`,
      address: `10.98.0.${FIRST_ADDRESS + number}`,
      join: Array.from({ length: Math.min(number, JOIN_TARGETS) }, (_, at) => `10.98.0.${FIRST_ADDRESS + at}`),
      keyFile,
      logs: join(folder, 'logs'),
      memory,
      rates: { upMbit: hostMbit, downMbit: hostMbit },
    });
  };
  const hosts: Host[] = [];
  for (let number = 0; number < count; number++) hosts.push(await add());
  const left = [...hosts];
  const work = async () => {
    for (let host = left.shift(); host; host = left.shift()) await host.start({ more });
  };
  await Promise.all(Array.from({ length: STARTS_AT_ONCE }, work));
  await untilJoined(hosts);
  const all = stack.move();
  return { hosts, origin, network, folder: memory, add, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Resolves when every host's agent knows enough of the others. */
export async function untilJoined(hosts: readonly Host[]): Promise<void> {
  if (!HAS_SWARM) return;
  const enough = Math.min(hosts.length - 1, MEMBERS_ENOUGH);
  for (const host of hosts) {
    const isIn = async () => (await membersOf(host)).length >= enough;
    await until(`${host.name} to be among the members`, JOIN_WAIT_MS, isIn);
  }
}

interface HostParts {
  readonly stack: AsyncDisposableStack;
  readonly network: Network;
  readonly originUrl: string;
  readonly name: string;
  readonly address: string;
  readonly join: readonly string[];
  readonly keyFile: string | undefined;
  readonly logs: string;
  readonly memory: string;
  readonly rates: Rates;
}

async function addHost(parts: HostParts): Promise<Host> {
  const { stack, name, address } = parts;
  const port = await parts.network.attach(name, address, parts.rates);
  const logs = join(parts.logs, name);
  const folder = join(parts.memory, name);
  for (const each of [logs, folder]) mkdirSync(each, { recursive: true });
  const errands = stack.use(await startErrands(port.inside, join(logs, 'errands.log')));
  const place: Place = { inside: port.inside, get: errands.get };
  let agent: Agent | undefined;
  // At once: what the end of an agent takes is not what these tests ask.
  stack.defer(async () => agent?.kill());
  const options: AgentOptions = {
    folder: logs,
    data: join(folder, 'data'),
    originUrl: parts.originUrl,
    place,
    readyWaitMs: READY_WAIT_MS,
  };
  const member = swarmOptions({ address, join: parts.join, keyFile: parts.keyFile });
  return {
    name,
    address,
    port,
    errands,
    folder,
    start: async ({ more = [], swarm = member, ...rest } = {}) => {
      agent = await startAgent({ ...options, ...rest, more: ['--log-level', 'info', ...swarm, ...more] });
      return agent;
    },
    get agent() {
      if (!agent) throw new Error(`no agent was started on ${name}`);
      return agent;
    },
    pull: ({ repository, tag, digest }, { base = LOCAL_AGENT, byDigest = false } = {}) => {
      const reference = byDigest ? digest : tag;
      return errands.pull({ base, repository, reference }, PULL_BOUND_MS);
    },
  };
}
