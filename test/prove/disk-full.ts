import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { fetchBlob } from '../lab/fetch-blob.ts';
import { MIB } from '../lab/images.ts';
import { must, until } from '../lab/process.ts';
import { startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import type { Figures, Proof } from './proof.ts';

const REPOSITORY = 'library/full';
const DISK_BYTES = 16 * MIB;
const BLOB_BYTES = 200 * MIB;
/** As fast as a gigabit link. */
const ORIGIN_BYTES_PER_SECOND = 118 * MIB;
const RESUME_WAIT_MS = 30_000;

/** A full disk turns the agent into a pass-through, and space turns it back. */
export const diskFull: Proof = {
  name: 'disk-full',
  title: 'a 200 MiB blob through a 16 MiB disk, then space returns',
  needs: [],
  run: async (folder) => {
    const data = join(folder, 'data');
    mkdirSync(data);
    await must('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=700`, 'tmpfs', data]);
    await using origin = await startStaticOrigin();
    await using agent = await startAgent({
      folder: join(folder, 'agent'),
      data,
      originUrl: origin.url,
      more: ['--cache-bytes', '10GiB'],
    });
    origin.bytesPerSecond = ORIGIN_BYTES_PER_SECOND;
    const large = origin.add(noise(BLOB_BYTES, 'large'));
    await fetchBlob(origin.url, REPOSITORY, large);
    const direct = await timed(() => fetchBlob(origin.url, REPOSITORY, large));
    const through = await timed(() => fetchBlob(agent.url, REPOSITORY, large));
    assert.ok(through.result.sound, `the pull succeeds on a full disk: ${JSON.stringify(through.result)}`);
    const again = await fetchBlob(agent.url, REPOSITORY, large);
    assert.ok(again.sound, 'and so does the next');
    assert.ok(origin.bytes > 3.5 * BLOB_BYTES, 'what did not fit was not kept');

    await must('mount', ['-o', 'remount,size=1g', data]);
    const from = performance.now();
    let tries = 0;
    await until('caching to resume', RESUME_WAIT_MS, async () => {
      const digest = origin.add(noise(MIB, `resume-${tries++}`));
      assert.ok((await fetchBlob(agent.url, REPOSITORY, digest)).sound);
      const gets = origin.gets;
      assert.ok((await fetchBlob(agent.url, REPOSITORY, digest)).sound);
      return origin.gets === gets;
    });
    assert.equal((await fetch(`${agent.admin}/livez`)).status, 200);
    const figures: Figures = {
      diskMiB: DISK_BYTES / MIB,
      blobMiB: BLOB_BYTES / MIB,
      directSeconds: Number(direct.seconds.toFixed(2)),
      throughSeconds: Number(through.seconds.toFixed(2)),
      speedOverDirect: Number((direct.seconds / through.seconds).toFixed(2)),
      resumedAfterSeconds: Number(((performance.now() - from) / 1000).toFixed(1)),
    };
    return figures;
  },
};

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; seconds: number }> {
  const from = performance.now();
  const result = await work();
  return { result, seconds: (performance.now() - from) / 1000 };
}
