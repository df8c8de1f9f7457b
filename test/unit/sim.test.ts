import { expect, test } from 'vitest';
import { createNetwork, type Network } from '../sim/network.ts';
import { readOptions } from '../sim/options.ts';
import { randomScenario } from '../sim/random-scenario.ts';
import { PLAIN } from '../sim/scenario.ts';
import { simulate } from '../sim/simulate.ts';
import { createTimeline } from '../sim/timeline.ts';

const SEEDS = 100;
/** A blob of a minute's test: 64 pieces, on hosts of 100 Mbit/s. */
const SMALL = { ...PLAIN, hosts: 16, size: 2 ** 24, hostRate: 12.5e6, originRate: 12.5e6 };

test(`in ${SEEDS} small swarms where anything goes wrong, what must always hold holds`, () => {
  const violated = Array.from({ length: SEEDS }, (_, seed) => simulate(randomScenario(seed))).flatMap((result, seed) =>
    result.violated.map((what) => `seed ${seed}: ${what}`),
  );
  expect(violated).toEqual([]);
});

test('a cold herd takes each byte from the origin once, and little longer than it must', () => {
  const result = simulate(SMALL);
  expect(result.egress).toBe(1);
  expect(result.slowestOverLimit).toBeLessThan(1.35);
});

test('hosts that come one after the other take nothing more from the origin', () => {
  expect(simulate({ ...SMALL, jitter: 30 }).egress).toBe(1);
});

test('a seed replays a run exactly', () => {
  const scenario = { ...SMALL, jitter: 1, dying: 0.2, liars: 2, mute: 1, seed: 7 };
  const { wallSeconds: _, ...first } = simulate(scenario);
  expect(simulate(scenario)).toMatchObject(first);
});

test('liars and a dying home cost time, and nothing else', () => {
  const result = simulate({ ...SMALL, liars: 3, mute: 1, homeDeaths: 1, homeDeathAt: 0.5 });
  expect(result.violated).toEqual([]);
  expect(result.quarantines).toBeGreaterThan(0);
});

test('most bytes stay in their zone', () => {
  expect(simulate({ ...SMALL, hosts: 40, zones: 2 }).near).toBeGreaterThan(0.7);
});

test('the network shares every uplink and downlink fairly', () => {
  const rates = new Float64Array([10, 10, 10]);
  const network = createNetwork(rates, rates);
  const ended: string[] = [];
  const flow = (from: number, to: number, bytes: number) =>
    network.start({ from, to, bytes, cap: Number.POSITIVE_INFINITY, done: () => ended.push(`${from}-${to}`) }, 0);
  flow(0, 1, 50);
  flow(0, 2, 100);
  expect(finish(network)).toEqual([10, 15]);
  expect(ended).toEqual(['0-1', '0-2']);
});

test('a capped flow leaves the rest to others', () => {
  const rates = new Float64Array([10, 10, 10]);
  const network = createNetwork(rates, rates);
  network.start({ from: 0, to: 1, bytes: 20, cap: 2, done: () => undefined }, 0);
  network.start({ from: 0, to: 2, bytes: 80, cap: Number.POSITIVE_INFINITY, done: () => undefined }, 0);
  expect(finish(network)).toEqual([10, 10]);
});

test('things happen in order of time, and of putting in', () => {
  const timeline = createTimeline<string>();
  for (const [at, what] of [
    [2, 'c'],
    [1, 'a'],
    [1, 'b'],
  ] as const) {
    timeline.put(at, what);
  }
  expect([timeline.take(), timeline.take(), timeline.take(), timeline.take()]).toEqual(['a', 'b', 'c', undefined]);
});

test('the command line takes amounts with units, and says what it does not take', () => {
  expect(readOptions(['--hosts', '10', '--size', '1GiB', '--host-rate', '1Gbit', '--slow', '10%'])).toMatchObject({
    scenario: { hosts: 10, size: 2 ** 30, hostRate: 125e6, slow: 0.1 },
  });
  expect(readOptions(['--outage', '1s,3s'])).toMatchObject({ scenario: { outageFrom: 1, outageTo: 3 } });
  expect(readOptions(['--size', '1Gbit'])).toBe('--size does not take 1Gbit');
  expect(readOptions(['--sise', '1'])).toContain('no option --sise');
});

/** Lets every flow end, and says when. */
function finish(network: Network): number[] {
  const times: number[] = [];
  for (let at = network.nextAt(); at < Number.POSITIVE_INFINITY; at = network.nextAt()) {
    network.finishNext(at);
    times.push(Math.round(at * 1000) / 1000);
  }
  return times;
}
