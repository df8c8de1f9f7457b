import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { newSwarmKey } from '@drayage/swarm/settings';
import { startGroup, type Worker } from './directory-group.ts';
import type { Figures, Proof } from './proof.ts';
import { percentile } from './proof.ts';

/** An eighth of the members that are near in life, and a sixteenth of the connections. */
const REACH = { introducedMax: 16, nearest: 8, wanted: 32, most: 40 };
const REACH_SHORT = { introducedMax: 8, nearest: 6, wanted: 12, most: 16 };
const LAYERS = 5;
const WAVE = 20;
const WAVE_EVERY_MS = 1000;
const LOOKUPS = 200;
/** Homes are looked for again after one minute and after two more. */
const SETTLED_SECONDS_MAX = 420;
const LOOK_EVERY_MS = 10_000;
const STEADY_SECONDS = 30;

/** Where nobody can be connected with everybody, what a member holds is found all the same. */
export const directoryLarge: Proof = {
  name: 'directory-large',
  title: 'members that may have a fifth of the connections that all would need find what the others hold',
  needs: [],
  run: async (folder, short) => {
    const [count, processes, reach] = short ? [48, 2, REACH_SHORT] : [198, 6, REACH];
    await using group = startGroup();
    const key = newSwarmKey();
    const workers = Array.from({ length: processes }, () => group.fork());
    const asker = workers[1] as Worker;
    const joins: string[] = [];
    const from = performance.now();
    for (let begin = 0; begin < count; begin += WAVE) {
      const wave = Array.from({ length: Math.min(WAVE, count - begin) }, (_, at) => begin + at);
      for (const [worker, some] of Map.groupBy(wave, (member) => workers[member % processes] as Worker)) {
        const { address } = await worker.ask('start', { folder, key, joins, reach, blobs: some.map(layersOf) });
        // All know the same door.
        if (joins.length === 0) joins.push(address);
      }
      await setTimeout(WAVE_EVERY_MS);
    }
    // Those of the first process, asked for by members of the second.
    const names = Array.from({ length: LOOKUPS }, (_, at) => ownLayer((at * processes) % count, at % LAYERS));
    const settled = await untilFound(asker, names, from);
    const used = async () => (await Promise.all(workers.map((worker) => worker.ask('usage', {})))).map(processorOf);
    await used();
    await setTimeout(STEADY_SECONDS * 1000);
    const processorSeconds = (await used()).reduce((sum, seconds) => sum + seconds, 0);
    const connections = (await Promise.all(workers.map((worker) => worker.ask('connections', {})))).flat();
    const figures = {
      members: count,
      connectionsWanted: reach.wanted,
      connectionsFewest: Math.min(...connections),
      connectionsMost: Math.max(...connections),
      lookups: LOOKUPS,
      lookupsFound: settled.found,
      settledSeconds: settled.seconds,
      lookupMsMedian: Math.round(percentile(settled.tookMs, 0.5)),
      lookupMsP99: Math.round(percentile(settled.tookMs, 0.99)),
      steadyProcessorPercent: Number(((processorSeconds / STEADY_SECONDS / count) * 100).toFixed(2)),
    } satisfies Figures;
    const told = JSON.stringify(figures);
    assert.equal(settled.found, LOOKUPS, told);
    assert.ok(figures.connectionsFewest >= reach.nearest, told);
    assert.ok(figures.connectionsMost <= 1.5 * reach.most, told);
    return figures;
  },
};

const processorOf = ({ processorSeconds }: { readonly processorSeconds: number }) => processorSeconds;

function layersOf(member: number): readonly string[] {
  return Array.from({ length: LAYERS }, (_, at) => ownLayer(member, at));
}

function ownLayer(member: number, at: number): string {
  return `own ${member} ${at}`;
}

/** Looks for all of them again and again, until all are found or it takes too long. */
async function untilFound(asker: Worker, names: readonly string[], from: number) {
  for (;;) {
    const { found, tookMs } = await asker.ask('find', { names, gapMs: 5 });
    const seconds = Math.round((performance.now() - from) / 1000);
    if (found === names.length || seconds > SETTLED_SECONDS_MAX) return { found, tookMs, seconds };
    await setTimeout(LOOK_EVERY_MS);
  }
}
