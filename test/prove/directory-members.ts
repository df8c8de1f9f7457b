/** Members of a swarm in a process of their own, told what to do by their parent. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { sha256 } from '@drayage/core';
import { parseSwarmKeys } from '@drayage/swarm/settings';
import {
  crowd,
  type Flooded,
  flood,
  loadIdentity,
  type Reach,
  startNode,
  startTestMember,
  type TestMember,
} from '@drayage/swarm/testing';

/** What the parent may ask, and what it is answered. */
export interface Orders {
  /** Starts one member a list of names: it holds blobs made of them. Answers where to join. */
  start(order: Start): Promise<{ readonly address: string }>;
  /** How many members the one that knows fewest knows. */
  known(order: Record<string, never>): Promise<number>;
  /** How many connections each member has. */
  connections(order: Record<string, never>): Promise<readonly number[]>;
  /** Looks for blobs, one member after the other, and counts those that were found. */
  find(order: { readonly names: readonly string[]; readonly gapMs: number }): Promise<Lookups>;
  /** From now on memory and the event loop are watched: at some cost. */
  watch(order: Record<string, never>): Promise<void>;
  /** What was used since the last time, and the extremes since it is watched. */
  usage(order: Record<string, never>): Promise<Usage>;
  /** Pours invented blobs into one member whether it takes them or not, until there were so many or the time is up. */
  pour(order: { readonly to: string; readonly records: number; readonly seconds: number }): Promise<Flooded>;
  /** Has handshakes with one member as fast as it lets us. */
  crowd(order: {
    readonly to: string;
    readonly tries: number;
    readonly seconds: number;
  }): Promise<Awaited<ReturnType<typeof crowd>>>;
}

interface Start {
  readonly folder: string;
  readonly key: string;
  readonly joins: readonly string[];
  readonly blobs: readonly (readonly string[])[];
  /** How many connections members want; as in life when nothing is said. */
  readonly reach?: Reach;
}

interface Lookups {
  readonly found: number;
  readonly tookMs: readonly number[];
}

interface Usage {
  readonly processorSeconds: number;
  /** How much it grew at most; 0 when not watched. */
  readonly grownBytes: number;
  /** The longest time between two turns of the event loop, and how much of such a time was work of its own at most. */
  readonly lateMs: number;
  readonly busyMs: number;
}

const CROWD_AT_ONCE = 64;
const LOOK_MS = 50;
const TICK_MS = 2;
const members: TestMember[] = [];
const extremes = { residentBytesBefore: 0, residentBytes: 0, lateMs: 0, busyMs: 0 };
let usedBefore = process.cpuUsage();

const answers: Orders = {
  async start({ folder, key, joins, blobs, reach }) {
    const keys = parseSwarmKeys(key, 'the parent');
    for (const names of blobs) {
      const identity = await loadIdentity(join(mkdtempSync(join(folder, 'member-')), 'identity'));
      const node = await startNode({ identity, keys, listen: [{ host: '127.0.0.1', port: 0 }], advertise: undefined });
      const first = members.slice(0, 1).map(addressOf);
      const member = await startTestMember({ node, joins: [...first, ...joins].slice(0, 1), times: undefined, reach });
      members.push(member);
      for (const name of names) member.hold(name);
    }
    return { address: addressOf(first()) };
  },
  known: async () => Math.min(...members.map(({ routing }) => routing.size())),
  connections: async () => members.map(({ node }) => node.getPeers().length),
  async find({ names, gapMs }) {
    const tookMs: number[] = [];
    let found = 0;
    for (const [at, name] of names.entries()) {
      const { directory } = members[at % members.length] ?? first();
      const from = performance.now();
      const holders = await directory.find(sha256(Buffer.from(name)), AbortSignal.timeout(10_000));
      tookMs.push(performance.now() - from);
      if (holders.length > 0) found++;
      await setTimeout(gapMs);
    }
    return { found, tookMs };
  },
  async watch() {
    extremes.residentBytesBefore = process.memoryUsage.rss();
    setInterval(() => {
      extremes.residentBytes = Math.max(extremes.residentBytes, process.memoryUsage.rss());
    }, LOOK_MS);
    let [at, used] = [performance.now(), processorMs()];
    setInterval(() => {
      extremes.lateMs = Math.max(extremes.lateMs, performance.now() - at);
      extremes.busyMs = Math.max(extremes.busyMs, processorMs() - used);
      [at, used] = [performance.now(), processorMs()];
    }, TICK_MS);
  },
  async usage() {
    const { user, system } = process.cpuUsage(usedBefore);
    usedBefore = process.cpuUsage();
    const { residentBytes, residentBytesBefore, lateMs, busyMs } = extremes;
    [extremes.lateMs, extremes.busyMs] = [0, 0];
    const grownBytes = Math.max(0, residentBytes - residentBytesBefore);
    return { processorSeconds: (user + system) / 1e6, grownBytes, lateMs, busyMs };
  },
  pour({ to, records, seconds }) {
    const { node } = first();
    const until = performance.now() + seconds * 1000;
    return flood({ node, victim: to, records, until });
  },
  crowd({ to, tries, seconds }) {
    const until = performance.now() + seconds * 1000;
    return crowd(first().node, { victim: to, tries, atOnce: CROWD_AT_ONCE, until });
  },
};

/** Of this thread alone: on a crowded machine time passes without it. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function first(): TestMember {
  const [member] = members;
  if (!member) throw new Error('nobody was started');
  return member;
}

function addressOf({ node }: TestMember): string {
  const [, , host, , port] = node.getMultiaddrs()[0]?.toString().split('/') ?? [];
  return `${host}:${port}`;
}

process.on('message', async ({ name, order }: { name: keyof Orders; order: never }) => {
  const answer = await answers[name](order).then(
    (value) => ({ value }),
    (error) => ({ problem: String(error instanceof Error ? error.stack : error) }),
  );
  process.send?.(answer);
});
