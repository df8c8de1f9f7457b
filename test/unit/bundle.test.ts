import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must, run } from '../lab/process.ts';

const SCRIPTS = join(import.meta.dirname, '../../scripts');
const BUNDLE_WAIT_MS = 60_000;
const DEMO_WAIT_MS = 90_000;

let folder = '';
let bundle = '';

beforeAll(async () => {
  // Far from any node_modules: what is not in the bundle is nowhere.
  folder = await mkdtemp(join(tmpdir(), 'drayage-bundle-'));
  bundle = join(folder, 'drayage.mjs');
  await must(process.execPath, [join(SCRIPTS, 'bundle.ts'), folder], { boundMs: BUNDLE_WAIT_MS });
}, BUNDLE_WAIT_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

test('the bundle says its version, and what it does not know', async () => {
  const { version } = JSON.parse(await readFile(join(SCRIPTS, '../package.json'), 'utf8'));
  expect(await must(bundle, ['--version'], { cwd: folder })).toBe(version);
  expect((await run(bundle, ['agent', '--nothing'], { cwd: folder })).code).toBe(2);
});

test('agents of the bundle pull a blob and are a swarm', { timeout: DEMO_WAIT_MS + 5000 }, async () => {
  const args = [join(SCRIPTS, 'demo.ts'), '--hosts', '2', '--size', '2MiB', '--json'];
  const env = { AGENT_COMMAND: bundle };
  const { swarm } = JSON.parse(await must(process.execPath, args, { env, cwd: folder, boundMs: DEMO_WAIT_MS }));
  expect(swarm.egress).toBeLessThanOrEqual(1.05);
});

test('the terms of what is in the bundle lie beside it', async () => {
  const terms = await readFile(join(folder, 'LICENSES'), 'utf8');
  expect(terms).toMatch(/^drayage \S+: Apache-2.0\n/);
  for (const name of ['fastify', 'libp2p', 'undici', '@napi-rs/blake-hash']) expect(terms).toContain(`\n${name} `);
});
