import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { makeMetrics } from './metrics.ts';

const SECONDS = 2;

/** Only keeps metrics, and says how often it woke up meanwhile. */
const IDLER = `
  import { setTimeout } from 'node:timers/promises';
  import { makeMetrics } from ${JSON.stringify(import.meta.resolve('./metrics.ts'))};
  makeMetrics();
  await setTimeout(500);
  const woken = () => process.resourceUsage().voluntaryContextSwitches;
  const before = woken();
  await setTimeout(${SECONDS * 1000});
  console.log(woken() - before);
`;

test('metrics let a host sleep: a process that keeps them wakes up less than twenty times a second', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', IDLER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expect(Number(await text(child.stdout)) / SECONDS).toBeLessThan(20);
});

test('how late the event loop is comes from the moment of a scrape, and nothing that a timer would have measured is told', async () => {
  const told = (await makeMetrics().registry.metrics()).match(/^drayage_nodejs_eventloop_lag\S+/gm);
  expect(told).toEqual(['drayage_nodejs_eventloop_lag_seconds']);
});
