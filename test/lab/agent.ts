import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Program, type Running, start } from './process.ts';

export const AGENT_HOST = '127.0.0.1:5050';
const ADMIN_HOST = '127.0.0.1:5051';

/** As operators start it. Another build, such as a release, can be put to the same tests. */
const COMMAND = process.env['AGENT_COMMAND'] ?? resolve(import.meta.dirname, '../../drayage');

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
}

/** Names that the lab's agent takes for its one origin. */
const ORIGIN_NAMES: readonly string[] = ['docker.io', 'registry.example.com', 'plain.example.com:5080'];

/** Starts an agent on this host's usual ports. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  mkdirSync(options.folder, { recursive: true });
  const url = `http://${AGENT_HOST}`;
  const admin = `http://${ADMIN_HOST}`;
  const data = options.data ?? join(options.folder, 'data');
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
    metric: async (name, labels = {}) => sumOf(await (await fetch(`${admin}/metrics`)).text(), name, labels),
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
  { originUrl, more = [], env = {}, readyWaitMs }: AgentOptions,
  { data, log, admin }: { data: string; log: string; admin: string },
): Program {
  const origins = ORIGIN_NAMES.flatMap((name) => ['--origin', `${name}=${originUrl}`]);
  const listen = ['--listen', AGENT_HOST, '--admin', ADMIN_HOST, '--data', data];
  const logging = ['--log-format', 'json', '--log-level', 'debug'];
  return {
    command: COMMAND,
    args: ['agent', ...listen, ...origins, ...logging, ...more],
    env,
    log,
    ready: async () => (await fetch(`${admin}/readyz`)).ok,
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
