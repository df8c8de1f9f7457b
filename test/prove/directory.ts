import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { newSwarmKey } from '@drayage/swarm/settings';
import { MIB } from '../lab/images.ts';
import { run } from '../lab/process.ts';
import type { Orders } from './directory-members.ts';
import { type Figures, type Proof, percentile } from './proof.ts';

const PROCESSES = 2;
/** Half of them are the same on every member, as base layers are. */
const LAYERS = 500;
const LOOKUPS = 400;
const SETTLE_SECONDS_MAX = 200;
const QUIET_SECONDS = 20;
const FLOOD_RECORDS = 1_000_000;

/** The directory costs next to nothing when nothing happens, answers at once, and cannot be flooded. */
export const directory: Proof = {
  name: 'directory',
  title: 'many members keep track of 500 layers each, and one of them pours records in',
  needs: [],
  run: async (folder, short) => {
    const count = short ? 12 : 40;
    const [steadySeconds, quietSeconds, floodSecondsMax] = short ? [10, 5, 10] : [30, 15, 30];
    const each = count / PROCESSES;
    await using group = startGroup();
    const key = newSwarmKey();
    const start = (to: Worker, joins: readonly string[], blobs: readonly (readonly string[])[]) =>
      to.ask('start', { folder, key, joins, blobs });
    const layers = (member: number) =>
      Array.from({ length: LAYERS }, (_, at) => (at < LAYERS / 2 ? `common ${at}` : ownLayer(member, at)));
    const layersFrom = (member: number) => Array.from({ length: each }, (_, at) => layers(member + at));

    const workers = Array.from({ length: PROCESSES }, () => group.fork());
    const [one, other] = workers as [Worker, Worker];
    const { address } = await start(one, [], layersFrom(0));
    await start(other, [address], layersFrom(each));
    const [victim, pourer] = [group.fork(), group.fork()];
    const { id: victimId } = await start(victim, [address], [[]]);
    await start(pourer, [address], [[]]);
    const settled = await settle([...workers, victim, pourer], count + 1);

    const usedBy = async () => Promise.all(workers.map((worker) => worker.ask('usage', {})));
    await usedBy();
    const messagesBefore = await messages();
    await setTimeout(steadySeconds * 1000);
    const messagesPerSecond = ((await messages()) - messagesBefore) / steadySeconds / (count + 2);
    const processorSeconds = (await usedBy()).reduce((sum, usage) => sum + usage.processorSeconds, 0);

    // Asked by members of the other process than the one that holds them.
    const names = Array.from({ length: LOOKUPS }, (_, at) => ownLayer(at % each, LAYERS / 2 + (at % (LAYERS / 2))));
    const { found, tookMs } = await other.ask('find', { names, gapMs: 10 });

    const bystander = one;
    for (const watched of [victim, bystander]) await watched.ask('watch', {});
    await setTimeout(quietSeconds * 1000);
    const quiet = await Promise.all([victim.ask('usage', {}), bystander.ask('usage', {})]);
    const floodedAt = performance.now();
    const flood = { to: victimId, records: FLOOD_RECORDS, seconds: floodSecondsMax };
    const poured = await pourer.ask('pour', flood);
    const floodSeconds = (performance.now() - floodedAt) / 1000;
    const flooded = await Promise.all([victim.ask('usage', {}), bystander.ask('usage', {})]);

    const figures = {
      members: count + 2,
      layersEach: LAYERS,
      ...settled,
      steadyProcessorPercent: rounded((processorSeconds / steadySeconds / count) * 100),
      steadyMessagesPerSecond: rounded(messagesPerSecond),
      lookups: LOOKUPS,
      lookupsFound: found,
      lookupMsMedian: rounded(percentile(tookMs, 0.5)),
      lookupMsP99: rounded(percentile(tookMs, 0.99)),
      floodSeconds: rounded(floodSeconds),
      floodRecordsTaken: poured.taken,
      floodRecordsRefused: poured.refused,
      victimGrownMiB: rounded(flooded[0].grownBytes / MIB),
      bystanderGrownMiB: rounded(flooded[1].grownBytes / MIB),
      quietLateMs: quiet.map(({ lateMs }) => rounded(lateMs)).join(' '),
      floodLateMs: flooded.map(({ lateMs }) => rounded(lateMs)).join(' '),
      victimBusyMs: rounded(flooded[0].busyMs),
      bystanderBusyMs: rounded(flooded[1].busyMs),
      victimProcessorSeconds: rounded(flooded[0].processorSeconds),
    } satisfies Figures;
    const told = JSON.stringify(figures);
    assert.equal(found, LOOKUPS, told);
    assert.ok(figures.steadyProcessorPercent <= 1, told);
    assert.ok(figures.steadyMessagesPerSecond <= 2, told);
    assert.ok(figures.lookupMsP99 <= 50, told);
    for (const { grownBytes, busyMs } of flooded) {
      assert.ok(grownBytes <= 64 * MIB, told);
      assert.ok(busyMs <= 50, told);
    }
    return figures;
  },
};

function ownLayer(member: number, at: number): string {
  return `own ${member} ${at}`;
}

/** Waits until everybody knows everybody, or nobody learns more. Answers with how many the most ignorant knows. */
async function settle(workers: readonly Worker[], others: number): Promise<Settled> {
  const from = performance.now();
  const seconds = () => (performance.now() - from) / 1000;
  let [known, since] = [0, seconds()];
  while (known < others / 2 || (known < others && seconds() - since < QUIET_SECONDS)) {
    if (seconds() > SETTLE_SECONDS_MAX)
      throw new Error(`the members still meet after ${SETTLE_SECONDS_MAX} s: ${known} of ${others}`);
    await setTimeout(1000);
    const now = Math.min(...(await Promise.all(workers.map((worker) => worker.ask('known', {})))));
    if (now !== known) [known, since] = [now, seconds()];
  }
  const settled = seconds();
  // The last changes of homes are announced, and the rounds of getting to know each other end.
  await setTimeout(QUIET_SECONDS * 1000);
  return { knownLeast: known, settledSeconds: Math.round(settled) };
}

interface Settled {
  readonly knownLeast: number;
  readonly settledSeconds: number;
}

/** Segments with something in them that all sockets of this namespace have sent: what the kernel says on its own is not in it. */
async function messages(): Promise<number> {
  const { stdout } = await run('ss', ['-tinH']);
  return [...stdout.matchAll(/data_segs_out:(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

interface Worker {
  ask<Name extends keyof Orders>(
    name: Name,
    order: Parameters<Orders[Name]>[0],
  ): Promise<Awaited<ReturnType<Orders[Name]>>>;
}

/** Processes that end with the group. */
function startGroup(): AsyncDisposable & { fork(): Worker } {
  const children: ChildProcess[] = [];
  return {
    fork() {
      const child = fork(join(import.meta.dirname, 'directory-members.ts'));
      children.push(child);
      return {
        async ask(name, order) {
          child.send({ name, order });
          const [answer] = await once(child, 'message');
          if (answer.problem !== undefined) throw new Error(answer.problem);
          return answer.value;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
    },
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
