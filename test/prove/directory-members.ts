/** Members of a swarm in a process of their own, told what to do by their parent. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { type Digest, sha256 } from '@drayage/core';
import { loadIdentity, parseSwarmKeys, startNode } from '@drayage/swarm';
import { startTestMember, type TestMember } from '@drayage/swarm/testing';

/** What the parent may ask, by name. */
export interface Orders {
  /** Starts so many members that join there; they hold blobs of these names. */
  start: { key: string; count: number; joins: readonly string[]; blobs: readonly (readonly string[])[] };
  /** How many members the one that knows fewest knows. */
  known: Record<string, never>;
  /** How many blobs of these the first member finds with a holder, and how long each took. */
  find: { names: readonly string[]; gapMs: number };
  /** What is used in so many seconds. */
  measure: { seconds: number };
  /** Announces so many invented blobs to one member, as fast as it takes them. */
  pour: { to: string; records: number };
  /** Who the first member is. */
  who: Record<string, never>;
}

/** What one process used in a while. */
export interface Usage {
  readonly processorSeconds: number;
  readonly socketWrites: number;
  readonly residentBytesBefore: number;
  readonly residentBytesMost: number;
  readonly loopDelayMsMost: number;
}

const BATCH = 1000;
const LOOK_MS = 50;
const members: TestMember[] = [];
const soon = () => AbortSignal.timeout(30_000);

const answers: { [Name in keyof Orders]: (order: Orders[Name]) => Promise<unknown> } = {
  async start({ key, count, joins, blobs }) {
    const keys = parseSwarmKeys(key, 'the parent');
    for (let at = 0; at < count; at++) {
      const identity = await loadIdentity(join(mkdtempSync(join(tmpdir(), 'identity-')), 'identity'));
      const node = await startNode({ identity, keys, listen: [{ host: '127.0.0.1', port: 0 }], advertise: undefined });
      const first = members[0] ? [addressOf(members[0])] : [];
      const member = await startTestMember({ node, joins: [...joins, ...first].slice(0, 1), times: undefined });
      members.push(member);
      for (const name of blobs[at] ?? []) member.hold(name);
    }
    return members[0] && addressOf(members[0]);
  },
  known: async () => Math.min(...members.map(({ routing }) => routing.size())),
  who: async () => members[0]?.id,
  async find({ names, gapMs }) {
    const tookMs: number[] = [];
    let found = 0;
    for (const [at, name] of names.entries()) {
      const from = performance.now();
      const holders = await members[at % members.length]?.directory.find(sha256(Buffer.from(name)), soon());
      tookMs.push(performance.now() - from);
      if (holders && holders.length > 0) found++;
      await setTimeout(gapMs);
    }
    return { found, tookMs };
  },
  measure: ({ seconds }) => measure(seconds),
  async pour({ to, records }) {
    const [self] = members;
    if (!self) throw new Error('nobody here');
    const contact = { member: self.id, links: [], zone: undefined };
    let refused = 0;
    for (let sent = 0; sent < records; sent += BATCH) {
      const digests: Digest[] = Array.from({ length: BATCH }, (_, at) => sha256(Buffer.from(`flood ${sent + at}`)));
      const asked = self.ask(to, 'announce', { contact, digests });
      await asked.catch(() => refused++);
    }
    return refused;
  },
};

async function measure(seconds: number): Promise<Usage> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const [before, writesBefore] = [process.memoryUsage.rss(), socketWrites()];
  let most = before;
  const watching = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, LOOK_MS);
  delay.enable();
  const from = process.cpuUsage();
  await setTimeout(seconds * 1000);
  const used = process.cpuUsage(from);
  delay.disable();
  clearInterval(watching);
  return {
    processorSeconds: (used.user + used.system) / 1e6,
    socketWrites: socketWrites() - writesBefore,
    residentBytesBefore: before,
    residentBytesMost: most,
    loopDelayMsMost: delay.max / 1e6,
  };
}

/** All that this process writes is written to sockets, but for a few files at the start. */
function socketWrites(): number {
  return Number(/syscw: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

function addressOf({ node }: TestMember): string {
  const [, , host, , port] = node.getMultiaddrs()[0]?.toString().split('/') ?? [];
  return `${host}:${port}`;
}

process.on('message', async <Name extends keyof Orders>({ name, order }: { name: Name; order: Orders[Name] }) => {
  try {
    process.send?.({ name, answer: await answers[name](order) });
  } catch (error) {
    process.send?.({ name, problem: String(error instanceof Error ? error.stack : error) });
  }
});
