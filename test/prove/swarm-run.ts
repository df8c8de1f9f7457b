import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { processorSeconds } from '../bench/nginx.ts';
import type { Client } from '../lab/client.ts';
import type { HostImage } from '../lab/host-origin.ts';
import { problemOf } from '../lab/host-runtimes.ts';
import type { Host, Hosts, PullFrom } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { watchProcessor } from '../lab/processor.ts';
import { now, type PullReport } from '../lab/pull-image.ts';
import { type Figures, percentile } from './proof.ts';

/** With less than this idle, the processor may have been what was measured. */
const IDLE_SHARE_MIN = 0.15;
const PROBLEMS_SHOWN_MAX = 8;

/** How a herd of pulls went. */
export interface Run {
  readonly slowestSeconds: number;
  readonly medianSeconds: number;
  /** What the origin sent, over the bytes of the image. */
  readonly egress: number;
  readonly problems: readonly string[];
  readonly corrupt: number;
  readonly longestGapMs: number;
  /** What all hosts sent, over what they needed: 1 less the origin's share when nothing was sent twice or said in vain. */
  readonly exchanged: number;
  /** What the hosts' agents used, for each gibibyte that clients got. */
  readonly agentSecondsPerGib: number;
  /** The share of processor time that nobody used. */
  readonly idleShare: number;
}

export interface RunParts {
  readonly lab: Hosts;
  readonly image: HostImage;
  readonly hosts?: readonly Host[];
  readonly from?: PullFrom;
  /** Real runtimes that pull the image as well, all from the start. */
  readonly runtimes?: readonly Client[];
  /** Resolves when a host is to begin; at once when nothing is said. */
  readonly begin?: (host: Host, at: number) => Promise<void>;
  /** Hosts that are lost on the way: when one of these resolves, its pull is neither waited for nor counted. */
  readonly lost?: ReadonlyMap<Host, Promise<void>>;
}

const WARM_UP_BYTES: number = 8 * MIB;
const TOUCHED_BYTES: number = 16 * MIB;
/** Runtimes and caches keep some of it as well. */
const TOUCHED_FACTOR = 1.2;

/** Lets all hosts pull an image first: agents run for weeks, and their first seconds are no measure for what follows. */
export async function warmUp(lab: Hosts, bytes: number = WARM_UP_BYTES): Promise<Run> {
  return await measure({ lab, image: await lab.origin.push('warm-up', bytes) });
}

/**
 * Writes as much as all hosts are going to keep of an image, and deletes it: a virtual machine gets memory when it is first touched,
 * which takes seconds for a GiB, and would take them from whoever is measured first.
 */
export function touchMemory({ folder, hosts }: Hosts, bytes: number): void {
  const file = join(folder, 'touched');
  const block = Buffer.alloc(TOUCHED_BYTES, 1);
  const target = openSync(file, 'w');
  for (let left = TOUCHED_FACTOR * hosts.length * bytes; left > 0; left -= block.length) writeSync(target, block);
  closeSync(target);
  rmSync(file);
}

/** Lets hosts pull an image, each when it is told to, and measures. */
export async function measure({
  lab,
  image,
  hosts = lab.hosts,
  from = {},
  runtimes = [],
  begin,
  lost,
}: RunParts): Promise<Run> {
  const before = await lab.origin.sent();
  const hostsBefore = await sentBy(lab.hosts);
  const idle = watchProcessor();
  const used = watchAgents(lab.hosts);
  const seconds: number[] = [];
  const pull = async (host: Host, at: number): Promise<PullReport | undefined> => {
    await begin?.(host, at);
    const askedAt = now();
    const ends: Promise<PullReport | undefined>[] = [host.pull(image, from)];
    const loss = lost?.get(host);
    if (loss !== undefined) ends.push(loss.then(() => undefined));
    const report = await Promise.race(ends);
    if (!report) return undefined;
    seconds.push((report.endedAt - askedAt) / 1000);
    return { ...report, problems: report.problems.map((problem) => `${host.name} ${problem}`) };
  };
  const pulls = Promise.all(hosts.map(pull));
  const runtimeProblems = await Promise.all(runtimes.map((client) => problemOf(client, image)));
  const reports = (await pulls).filter((report) => report !== undefined);
  const after = await lab.origin.sent();
  return {
    slowestSeconds: percentile(seconds, 1),
    medianSeconds: percentile(seconds, 0.5),
    egress: (after.payloadBytes - before.payloadBytes) / image.bytes,
    problems: [
      ...runtimeProblems.filter((problem) => problem !== undefined),
      ...reports.flatMap(({ problems, soundBytes }) =>
        soundBytes === image.bytes || problems.length > 0 ? problems : [`only ${soundBytes} bytes were sound`],
      ),
    ],
    corrupt: reports.reduce((sum, report) => sum + report.corrupt, 0),
    longestGapMs: Math.max(...reports.map((report) => report.longestGapMs)),
    exchanged: ((await sentBy(lab.hosts)) - hostsBefore) / (image.bytes * hosts.length),
    agentSecondsPerGib: used() / ((image.bytes * (reports.length + runtimes.length)) / (1024 * MIB)),
    idleShare: idle(),
  };
}

async function sentBy(hosts: readonly Host[]): Promise<number> {
  const sent = await Promise.all(hosts.map(({ port }) => port.sent()));
  return sent.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0);
}

/** Ends with the processor seconds that these hosts' agents have used meanwhile; those that died are left out. */
function watchAgents(hosts: readonly Host[]): () => number {
  const secondsOf = ({ agent }: Host): number => {
    try {
      return processorSeconds(agent.pid());
    } catch {
      return Number.NaN;
    }
  };
  const before = hosts.map(secondsOf);
  return () =>
    hosts
      .map((host, at) => secondsOf(host) - (before[at] ?? 0))
      .filter((seconds) => seconds >= 0)
      .reduce((sum, seconds) => sum + seconds, 0);
}

/** The rates of a lab's links, in Mbit/s. */
export interface Links {
  readonly hosts: number;
  readonly hostMbit: number;
  readonly originMbit: number;
}

/**
 * What the origin may send of an image that hosts want at about the same time, over its bytes: once, and a race or two.
 * A piece is a larger share of the small images of the short form.
 */
export function egressMax(isShort: boolean): number {
  return isShort ? 1.05 : 1.02;
}

/** Links of 100 Mbit/s; half of that in the short form, which leaves the processor of a small machine room. */
export function linksFor(hosts: number, isShort: boolean): Links {
  const mbit = isShort ? 50 : 100;
  return { hosts, hostMbit: mbit, originMbit: mbit };
}

/**
 * The fluid limit: no scheme can give every one of the hosts all bytes sooner, since the origin has to send each byte
 * once, every host has to receive each, and all of them together have to send N times as much.
 */
export function limitSeconds({ hosts, hostMbit, originMbit }: Links, bytes: number): number {
  const megabits = (bytes * 8) / 1e6;
  const together = (hosts * megabits) / (originMbit + hosts * hostMbit);
  return Math.max(megabits / originMbit, megabits / hostMbit, together);
}

/** A run's figures, each name with the prefix. */
export function figuresOf(prefix: string, run: Run, limit?: number): Figures {
  const named: Record<string, number> = {
    SlowestSeconds: round(run.slowestSeconds),
    MedianSeconds: round(run.medianSeconds),
    ...(limit === undefined ? {} : { SlowestOverLimit: round(run.slowestSeconds / limit) }),
    Egress: round(run.egress, 3),
    Exchanged: round(run.exchanged),
    Problems: run.problems.length,
    LongestGapMs: Math.round(run.longestGapMs),
    AgentCpuSecondsPerGiB: round(run.agentSecondsPerGib, 1),
    IdleShare: round(run.idleShare),
  };
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [`${prefix}${name}`, value]));
}

/** Returns the figures when everything held; else throws with what did not, the figures and the first problems. */
export function judge(figures: Figures, held: Readonly<Record<string, boolean>>, runs: readonly Run[]): Figures {
  const broken = Object.keys(held).filter((promise) => !held[promise]);
  if (broken.length === 0) return figures;
  const told = [`does not hold: ${broken.join('; ')}`, JSON.stringify(figures)];
  if (runs.some(({ idleShare }) => idleShare < IDLE_SHARE_MIN))
    told.push('the processor was busy: times may be its own');
  throw new Error([...told, ...runs.flatMap(({ problems }) => problems).slice(0, PROBLEMS_SHOWN_MAX)].join('\n'));
}

/** Whether every byte of every pull came, and was right. */
export function isClean(run: Run): boolean {
  return run.problems.length === 0 && run.corrupt === 0;
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

export function inMib(bytes: number): number {
  return round(bytes / MIB, 1);
}
