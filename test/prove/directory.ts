import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { newSwarmKey } from '@drayage/swarm/settings';
import { MIB } from '../lab/images.ts';
import { startGroup, type Worker } from './directory-group.ts';
import { type Figures, type Proof, percentile } from './proof.ts';

/** Members start in waves: each is whole before the next, as hosts are added in life. */
const WAVE = 20;
/** Half of them are the same on every member, as base layers are. */
const LAYERS = 500;
const LOOKUPS = 400;
/** Members that are watched, or pour. */
const ALONE = 3;
const WAVE_SECONDS_MAX = 300;
const QUIET_SECONDS_MAX = 120;
/** The swarm is quiet when a member says less than this in a second, over so many seconds. */
const QUIET_MESSAGES_PER_SECOND = 2;
const LOOK_SECONDS = 5;
const CROWD_TRIES = 3000;
const CROWD_SECONDS_MAX = 60;

/** The directory costs next to nothing when nothing happens, answers at once, and cannot be flooded. */
export const directory: Proof = {
  name: 'directory',
  title: 'many members keep track of 500 layers each, and one of them pours records in',
  needs: [],
  run: async (folder, short) => {
    const [count, processes] = short ? [12, 2] : [198, 6];
    const [steadySeconds, quietSeconds, floodSecondsMax] = short ? [10, 5, 60] : [60, 15, 200];
    const records = short ? 100_000 : 1_000_000;
    const each = count / processes;
    await using group = startGroup();
    const key = newSwarmKey();
    const layers = (member: number) =>
      Array.from({ length: LAYERS }, (_, at) => (at < LAYERS / 2 ? `common ${at}` : ownLayer(member, at)));
    const workers = Array.from({ length: processes }, () => group.fork());
    const other = workers[1] as Worker;
    // Each in a process of its own, as agents are.
    const [victim, pourer, bystander] = [group.fork(), group.fork(), group.fork()];
    const joins: string[] = [];
    const start = async (to: Worker, blobs: readonly (readonly string[])[]) => {
      const started = await to.ask('start', { folder, key, joins, blobs });
      if (joins.length === 0) joins.push(started.address);
      return started;
    };

    const from = performance.now();
    const { address: victimAddress } = await start(victim, [[]]);
    await start(pourer, [[]]);
    await start(bystander, [layers(count)]);
    for (let begin = 0; begin < count; begin += WAVE) {
      const wave = Array.from({ length: Math.min(WAVE, count - begin) }, (_, at) => begin + at);
      const shares = Map.groupBy(wave, (member) => workers[member % processes] as Worker);
      await Promise.all([...shares].map(([worker, some]) => start(worker, some.map(layers))));
      await becomeWhole(
        [...workers.slice(0, Math.min(processes, wave.length)), victim, pourer, bystander],
        begin + wave.length + ALONE - 1,
      );
    }
    const usedBy = async () => Promise.all(workers.map((worker) => worker.ask('usage', {})));
    const settledSeconds = Math.round((performance.now() - from) / 1000);
    const used = async () => (await usedBy()).reduce((sum, usage) => sum + usage.processorSeconds, 0);
    const meetingProcessorSeconds = await used();
    await becomeQuiet(count + ALONE);

    await used();
    const messagesBefore = await messages();
    await setTimeout(steadySeconds * 1000);
    const messagesPerSecond = ((await messages()) - messagesBefore) / steadySeconds / (count + ALONE);
    const processorSeconds = await used();

    // Asked by members of the other process than the one that holds them.
    const names = Array.from({ length: LOOKUPS }, (_, at) =>
      ownLayer((at % each) * processes, LAYERS / 2 + (at % (LAYERS / 2))),
    );
    const { found, tookMs } = await other.ask('find', { names, gapMs: 10 });

    for (const watched of [victim, bystander]) await watched.ask('watch', {});
    await setTimeout(quietSeconds * 1000);
    const quiet = await Promise.all([victim.ask('usage', {}), bystander.ask('usage', {})]);
    const floodedAt = performance.now();
    const flood = { to: victimAddress, records, seconds: floodSecondsMax };
    const poured = await pourer.ask('pour', flood);
    const floodSeconds = (performance.now() - floodedAt) / 1000;
    const flooded = await Promise.all([victim.ask('usage', {}), bystander.ask('usage', {})]);

    const crowdedAt = performance.now();
    const crowding = pourer.ask('crowd', { to: victimAddress, tries: CROWD_TRIES, seconds: CROWD_SECONDS_MAX });
    const meanwhile = await other.ask('find', { names, gapMs: 10 });
    const crowd = await crowding;
    const crowdSeconds = (performance.now() - crowdedAt) / 1000;
    const crowded = await victim.ask('usage', {});

    const figures = {
      members: count + ALONE,
      layersEach: LAYERS,
      settledSeconds,
      meetingProcessorSecondsEach: rounded(meetingProcessorSeconds / count),
      steadyProcessorPercent: rounded((processorSeconds / steadySeconds / count) * 100),
      steadyMessagesPerSecond: rounded(messagesPerSecond),
      lookups: LOOKUPS,
      lookupsFound: found,
      lookupMsMedian: rounded(percentile(tookMs, 0.5)),
      lookupMsP99: rounded(percentile(tookMs, 0.99)),
      floodSeconds: rounded(floodSeconds),
      floodRecordsOffered: poured.offered,
      floodRecordsTaken: poured.taken,
      floodRecordsRefused: poured.refused,
      floodRecordsCutOff: poured.cutOff,
      victimGrownMiB: rounded(flooded[0].grownBytes / MIB),
      bystanderGrownMiB: rounded(flooded[1].grownBytes / MIB),
      quietLateMs: quiet.map(({ lateMs }) => rounded(lateMs)).join(' '),
      floodLateMs: flooded.map(({ lateMs }) => rounded(lateMs)).join(' '),
      victimBusyMs: rounded(flooded[0].busyMs),
      bystanderBusyMs: rounded(flooded[1].busyMs),
      victimProcessorSeconds: rounded(flooded[0].processorSeconds),
      crowdTries: CROWD_TRIES,
      crowdLetIn: crowd.letIn,
      crowdRefused: crowd.refused,
      crowdSeconds: rounded(crowdSeconds),
      crowdBusyMs: rounded(crowded.busyMs),
      crowdProcessorSeconds: rounded(crowded.processorSeconds),
      crowdLookupsFound: meanwhile.found,
      crowdLookupMsP99: rounded(percentile(meanwhile.tookMs, 0.99)),
    } satisfies Figures;
    const told = JSON.stringify(figures);
    assert.equal(found, LOOKUPS, told);
    assert.ok(figures.steadyProcessorPercent <= 1, told);
    assert.ok(figures.steadyMessagesPerSecond <= 2, told);
    assert.ok(figures.lookupMsP99 <= 50, told);
    assert.equal(poured.offered, records, told);
    assert.equal(meanwhile.found, LOOKUPS, told);
    assert.ok(crowd.letIn > 0 && crowd.refused > 0, told);
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

async function becomeWhole(workers: readonly Worker[], others: number): Promise<void> {
  const until = performance.now() + WAVE_SECONDS_MAX * 1000;
  for (;;) {
    const known = Math.min(...(await Promise.all(workers.map((worker) => worker.ask('known', {})))));
    if (known >= others) return;
    if (performance.now() > until)
      throw new Error(`the members still meet after ${WAVE_SECONDS_MAX} s: ${known} of ${others}`);
    await setTimeout(500);
  }
}

/** The last changes of homes are announced, and the rounds of getting to know each other end. */
async function becomeQuiet(members: number): Promise<void> {
  const until = performance.now() + QUIET_SECONDS_MAX * 1000;
  for (let said = Number.POSITIVE_INFINITY; said > QUIET_MESSAGES_PER_SECOND; ) {
    if (performance.now() > until) throw new Error(`the members still say ${said} messages a second each`);
    const before = await messages();
    await setTimeout(LOOK_SECONDS * 1000);
    said = ((await messages()) - before) / LOOK_SECONDS / members;
  }
}

/** Segments with something in them that all sockets of this namespace have sent: what the kernel says on its own is not in it. */
async function messages(): Promise<number> {
  const lines = (await readFile('/proc/net/netstat', 'utf8')).split('\n').map((line) => line.split(' '));
  const [names, values] = lines.filter(([table]) => table === 'TcpExt:');
  return Number(values?.[names?.indexOf('TCPOrigDataSent') ?? -1]);
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
