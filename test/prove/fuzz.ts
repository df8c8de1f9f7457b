import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Agent, startAgent } from '../lab/agent.ts';
import { collectGarbage } from '../lab/collect-garbage.ts';
import { documentOf, MIB } from '../lab/images.ts';
import { startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import { builtRequest, type Known, mutatedRequest, type RawRequest } from './fuzz-requests.ts';
import type { Figures, Proof } from './proof.ts';

const SEED = 20_261_121;
const BATCH = 1000;
const WARM_REQUESTS = 2000;
const AT_ONCE = 16;
const ANSWER_MS_MAX = 5000;
/** After this long without an end to a half-sent request, this side ends it; the agent owes no answer to half a request. */
const SILENCE_MS = 250;
/** How much more may be live at the end than after the first requests. */
const GROWTH_BYTES_MAX = 20 * MIB;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Whatever is sent to the endpoint, it stays up, answers in time, and keeps to its folder. */
export const fuzz: Proof = {
  name: 'fuzz',
  title: 'built and mutated requests on raw sockets',
  needs: [],
  run: async (folder, short) => {
    const requests = short ? 5000 : 50_000;
    const home = join(folder, 'home');
    mkdirSync(home);
    await using origin = await startStaticOrigin();
    const digests = [origin.add(noise(300_000, 'one')), origin.add(noise(20, 'two'))];
    const manifest = documentOf(MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config: {}, layers: [] });
    origin.addManifest('1', manifest);
    await using agent = await startAgent({
      folder: join(folder, 'agent'),
      originUrl: origin.url,
      env: { HOME: home, TMPDIR: home },
      more: ['--log-level', 'error'],
    });
    const known: Known = {
      repositories: ['library/a', 'docker.io/library/a', 'registry.example.com/team/a', 'elsewhere.example.com/a'],
      tags: ['1', 'latest', 'v1.0'],
      digests: [...digests, manifest.digest, `sha256:${'0'.repeat(64)}`],
    };
    const arbitrary = fc.oneof(builtRequest(known), mutatedRequest(known));
    const tally = { answered: 0, silent: 0, serverErrors: [] as string[], hangs: [] as string[] };
    let warm = 0;
    for (let done = 0; done < requests; done += BATCH) {
      const batch = fc.sample(arbitrary, { numRuns: BATCH, seed: SEED + done });
      await sendAll(batch, tally);
      assert.equal((await fetch(`${agent.admin}/livez`)).status, 200, `the agent lives after ${done} requests`);
      if (done + BATCH === WARM_REQUESTS) warm = await liveBytes(agent);
    }
    const live = await liveBytes(agent);
    const growth = live - warm;
    const strays = [...readdirSync(home), ...readdirSync(folder).filter((name) => !['home', 'agent'].includes(name))];
    const figures: Figures = {
      requests,
      answered: tally.answered,
      unanswered: tally.silent,
      serverErrors: tally.serverErrors.length,
      hangs: tally.hangs.length,
      strayFiles: strays.length,
      residentMiB: Math.round(agent.residentBytes() / MIB),
      liveMiB: Math.round(live / MIB),
      liveGrowthMiB: Number((growth / MIB).toFixed(1)),
      seed: SEED,
    };
    const told = [JSON.stringify(figures), ...tally.serverErrors.slice(0, 3), ...tally.hangs.slice(0, 3)].join('\n');
    assert.equal(tally.serverErrors.length + tally.hangs.length + strays.length, 0, told);
    assert.ok(growth < GROWTH_BYTES_MAX, told);
    return figures;
  },
};

/** Memory in use once the garbage is gone; resident memory says less, as it keeps room for garbage to come. */
async function liveBytes(agent: Agent): Promise<number> {
  await collectGarbage(agent.pid());
  const heap = await agent.metric('drayage_nodejs_heap_size_used_bytes');
  return heap + (await agent.metric('drayage_nodejs_external_memory_bytes'));
}

interface Tally {
  answered: number;
  silent: number;
  readonly serverErrors: string[];
  readonly hangs: string[];
}

async function sendAll(batch: readonly RawRequest[], tally: Tally): Promise<void> {
  const left = [...batch];
  const work = async () => {
    for (let request = left.pop(); request; request = left.pop()) {
      const { status, hung } = await send(request.bytes);
      const shown = JSON.stringify(request.bytes.toString('latin1').slice(0, 300));
      if (hung) tally.hangs.push(shown);
      if (status === undefined) tally.silent += 1;
      else tally.answered += 1;
      if (status === 500) tally.serverErrors.push(shown);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Sends the bytes, and reads until the agent hangs up, or falls silent over a request that may be only half there. */
function send(bytes: Buffer): Promise<{ status: number | undefined; hung: boolean }> {
  return new Promise((resolve) => {
    const from = performance.now();
    let status: number | undefined;
    let head = '';
    const socket = connect({ port: 5050, host: '127.0.0.1' });
    const late = setTimeout(() => socket.destroy(), ANSWER_MS_MAX + SILENCE_MS);
    socket.setTimeout(SILENCE_MS, () => socket.end());
    socket.on('data', (chunk) => {
      if (status !== undefined) return;
      head += chunk.toString('latin1', 0, 20);
      const code = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
      if (code !== undefined) status = Number(code);
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(late);
      resolve({ status, hung: performance.now() - from > ANSWER_MS_MAX });
    });
    socket.write(bytes);
  });
}
