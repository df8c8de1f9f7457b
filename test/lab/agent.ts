import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Answer } from './errands.ts';
import { commandAt, type Program, type Running, start } from './process.ts';

export const AGENT_HOST = '127.0.0.1:5050';
const ADMIN_HOST = '127.0.0.1:5051';

/** As operators start it. Another build, such as a release, can be put to the same tests. */
export const AGENT_COMMAND: string = process.env['AGENT_COMMAND'] ?? resolve(import.meta.dirname, '../../drayage');

/** An agent in its own process, spoken to only as operators and clients can. */
export interface Agent extends AsyncDisposable {
  readonly url: string;
  readonly admin: string;
  readonly log: string;
  readonly data: string;
  readonly pid: () => number;
  /** SIGKILL, as a crash would end it. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | string>;
  /** Starts it again on the same data; resolves with the milliseconds until it was ready. */
  restart(): Promise<number>;
  /** The sum of a metric's samples whose labels are as given. Throws when there are none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** What the admin API answers to a path. */
  ask(path: string): Promise<unknown>;
  /** Resident memory now, in bytes. */
  residentBytes(): number;
}

export interface AgentOptions {
  readonly folder: string;
  readonly data?: string;
  readonly originUrl: string;
  readonly more?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly readyWaitMs?: number;
  /** Where it runs; here when nothing is said. */
  readonly place?: Place;
  /** Another command line than the checkout's. */
  readonly command?: string;
}

/** A host, as whoever starts an agent there must know it. */
export interface Place {
  /** What stands before a command to run it there. */
  readonly inside: readonly string[];
  /** Gets an address as seen from there. */
  get(address: string): Promise<Answer>;
}

/** This host. */
export const HERE: Place = {
  inside: [],
  get: async (address) => {
    const answer = await fetch(address);
    return { status: answer.status, text: await answer.text() };
  },
};

/** Names that the lab's agent takes for its one origin. */
const ORIGIN_NAMES: readonly string[] = ['docker.io', 'registry.example.com', 'plain.example.com:5080'];

/** Starts an agent on this host's usual ports. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  mkdirSync(options.folder, { recursive: true });
  const url = `http://${AGENT_HOST}`;
  const admin = `http://${ADMIN_HOST}`;
  const data = options.data ?? join(options.folder, 'data');
  const { place = HERE } = options;
  const log = join(options.folder, 'agent.log');
  const program = programOf(options, { data, log, admin });
  let running: Running = await start(program);
  return {
    url,
    admin,
    log,
    data,
    pid: () => running.pid,
    kill: () => running.kill(),
    stop: () => running.stop(),
    restart: async () => {
      const from = performance.now();
      running = await start(program);
      return performance.now() - from;
    },
    metric: async (name, labels = {}) => sumOf((await place.get(`${admin}/metrics`)).text, name, labels),
    ask: async (path) => {
      const { status, text } = await place.get(`${admin}${path}`);
      if (status !== 200) throw new Error(`the agent answers ${path} with ${status}: ${text}`);
      return JSON.parse(text);
    },
    residentBytes: () => statusBytes(running.pid, 'VmRSS'),
    [Symbol.asyncDispose]: async () => {
      await running.stop();
    },
  };
}

/** The most memory a process ever had resident, in bytes. */
export function peakResidentBytesOf(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

function statusBytes(pid: number, row: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${row}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
}

function programOf(
  { originUrl, more = [], env = {}, readyWaitMs, place = HERE, command = AGENT_COMMAND }: AgentOptions,
  { data, log, admin }: { data: string; log: string; admin: string },
): Program {
  const origins = ORIGIN_NAMES.flatMap((name) => ['--origin', `${name}=${originUrl}`]);
  const listen = ['--listen', AGENT_HOST, '--admin', ADMIN_HOST, '--data', data];
  const logging = ['--log-format', 'json', '--log-level', 'debug'];
  return {
    ...commandAt(place.inside, command, ['agent', ...listen, ...origins, ...logging, ...more]),
    env,
    log,
    ready: async () => (await place.get(`${admin}/readyz`)).status === 200,
    ...(readyWaitMs === undefined ? {} : { readyWaitMs }),
  };
}

function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const values: number[] = [];
  for (const line of text.split('\n')) {
    const [, found, inside = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (found !== name) continue;
    if (Object.entries(labels).every(([key, wanted]) => inside.includes(`${key}="${wanted}"`))) {
      values.push(Number(value));
    }
  }
  if (values.length === 0) throw new Error(`the agent has no metric ${name} ${JSON.stringify(labels)}`);
  return values.reduce((sum, value) => sum + value, 0);
}
