import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '@drayage/core';
import { type Agent, startAgent } from '../lab/agent.ts';
import { type Fetched, fetchBlob } from '../lab/fetch-blob.ts';
import { MIB } from '../lab/images.ts';
import { type StaticOrigin, startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import { type Figures, type Proof, percentile, seeded } from './proof.ts';

const REPOSITORY = 'library/kill9';
const PULLS = 4;
const PULL_BYTES = 32 * MIB;
/** Slow enough that little of what the origin has sent waits in socket buffers, where a crash loses it unseen. */
const ORIGIN_BYTES_PER_SECOND = 48 * MIB;
const PULL_MS = ((PULLS * PULL_BYTES) / ORIGIN_BYTES_PER_SECOND) * 1000;
const SEALED_BYTES = 512;
const SEALING_AT_ONCE = 16;
const SAMPLE = 25;
const KEPT_SHARE_MIN = 0.95;
const READY_MS_MAX = 1000;
const SEED = 20_261_121;

/** Crashes at random moments cost at most a retry, and lose nothing that was sealed. */
export const kill9: Proof = {
  name: 'kill9',
  title: 'random SIGKILLs during four concurrent pulls',
  needs: [],
  run: async (folder, short) => {
    const kills = short ? 8 : 100;
    const sealedCount = short ? 2000 : 10_000;
    const random = seeded(SEED);
    await using origin = await startStaticOrigin();
    await using agent = await startAgent({
      folder: join(folder, 'agent'),
      originUrl: origin.url,
      more: ['--log-level', 'info', '--cache-bytes', '20GiB'],
    });
    const sealed = Array.from({ length: sealedCount }, (_, at) => origin.add(noise(SEALED_BYTES, `sealed-${at}`)));
    await fetchAll(agent, sealed);
    const total = { corrupt: 0, failed: 0, lost: 0, before: 0, wasted: 0 };
    const ready: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const crash = await crashOnce(agent, origin, { kill, afterMs: random() * PULL_MS });
      ready.push(crash.readyMs);
      total.corrupt += crash.corrupt;
      total.failed += crash.failed;
      total.before += crash.before;
      total.wasted += crash.wasted;
      const sample = Array.from({ length: SAMPLE }, () => sealed[Math.floor(random() * sealed.length)] as Digest);
      total.lost += await countFetchedAgain(agent, origin, sample);
    }
    total.lost += await countFetchedAgain(agent, origin, sealed);
    const kept = 1 - total.wasted / total.before;
    const figures: Figures = {
      kills,
      sealedBlobs: sealedCount,
      corrupt: total.corrupt,
      failedAfterOneRetry: total.failed,
      sealedLost: total.lost,
      keptShare: Number(kept.toFixed(4)),
      wastedKiBPerKill: Math.round(total.wasted / kills / 1024),
      readyMsMedian: Math.round(percentile(ready, 0.5)),
      readyMsMost: Math.round(percentile(ready, 1)),
      seed: SEED,
    };
    const told = JSON.stringify(figures);
    assert.equal(total.corrupt + total.failed + total.lost, 0, told);
    assert.ok(kept >= KEPT_SHARE_MIN, told);
    assert.ok(percentile(ready, 0.5) < READY_MS_MAX, told);
    return figures;
  },
};

interface Crash {
  readonly corrupt: number;
  readonly failed: number;
  readonly before: number;
  readonly wasted: number;
  readonly readyMs: number;
}

async function crashOnce(
  agent: Agent,
  origin: StaticOrigin,
  { kill, afterMs }: { kill: number; afterMs: number },
): Promise<Crash> {
  const digests = Array.from({ length: PULLS }, (_, at) => origin.add(noise(PULL_BYTES, `pull-${kill}-${at}`)));
  const fetchOne = (digest: Digest) => fetchBlob(agent.url, REPOSITORY, digest);
  origin.bytesPerSecond = ORIGIN_BYTES_PER_SECOND;
  const start = origin.bytes;
  const first = Promise.all(digests.map(fetchOne));
  await sleep(afterMs);
  await agent.kill();
  const before = origin.bytes - start;
  const tries: Fetched[] = await first;
  const readyMs = await agent.restart();
  const again = await Promise.all(tries.map((one, at) => (one.sound ? one : fetchOne(digests[at] as Digest))));
  origin.bytesPerSecond = undefined;
  const sent = origin.bytes - start;
  for (const digest of digests) {
    await fetch(`${agent.admin}/api/blobs/${digest}`, {
      method: 'DELETE',
      headers: { 'content-type': 'application/json' },
    });
    origin.remove(digest);
  }
  return {
    corrupt: [...tries, ...again].filter(({ corrupt }) => corrupt).length,
    failed: again.filter(({ sound }) => !sound).length,
    before,
    wasted: sent - PULLS * PULL_BYTES,
    readyMs,
  };
}

async function countFetchedAgain(agent: Agent, origin: StaticOrigin, digests: readonly Digest[]): Promise<number> {
  const gets = origin.gets;
  await fetchAll(agent, digests);
  return origin.gets - gets;
}

async function fetchAll(agent: Agent, digests: readonly Digest[]): Promise<void> {
  const left = [...digests];
  const work = async () => {
    for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
      const { sound } = await fetchBlob(agent.url, REPOSITORY, digest);
      assert.ok(sound, `${digest} is served whole`);
    }
  };
  await Promise.all(Array.from({ length: SEALING_AT_ONCE }, work));
}
