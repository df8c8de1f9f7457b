import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../lab/process.ts';

const DEMO = join(import.meta.dirname, '../../scripts/demo.ts');
const WAIT_MS = 90_000;

test('in the demo, the origin sends the image to every host alone, and once to a swarm', {
  timeout: WAIT_MS + 5000,
}, async () => {
  const args = [DEMO, '--hosts', '3', '--size', '6MiB', '--json'];
  const { code, stdout, stderr } = await run(process.execPath, args, { boundMs: WAIT_MS });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { alone, swarm, imageBytes } = JSON.parse(stdout);
  expect(alone.egress).toBeGreaterThanOrEqual(2.9);
  expect(swarm.egress).toBeLessThanOrEqual(1.05);
  const given = Object.values<Record<string, number>>(swarm.gave).flatMap((to) => Object.values(to));
  const all = given.reduce((sum, bytes) => sum + bytes, 0);
  expect(all).toBeGreaterThan(2.9 * imageBytes);
});

test('the demo says what it does not take', async () => {
  const { code, stderr } = await run(process.execPath, [DEMO, '--hosts', '1']);
  expect(code).toBe(2);
  expect(stderr).toContain('--hosts is 2 to 16');
});
