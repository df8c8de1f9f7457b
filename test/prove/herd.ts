import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { peakResidentBytesOf, startAgent } from '../lab/agent.ts';
import { MIB } from '../lab/images.ts';
import { startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import { type Figures, type Proof, percentile } from './proof.ts';

const RESIDENT_BYTES_MAX = 300 * MIB;

/** However many ask for one cold blob at once, the origin sends it once, and memory stays small. */
export const herd: Proof = {
  name: 'herd',
  title: 'many clients pull one cold blob at once',
  needs: [],
  run: async (folder, short) => {
    const clients = short ? 200 : 500;
    const bytes = (short ? 16 : 64) * MIB;
    await using origin = await startStaticOrigin();
    const blob = noise(bytes, 'herd');
    const digest = origin.add(blob);
    await using agent = await startAgent({
      folder: join(folder, 'agent'),
      originUrl: origin.url,
      more: ['--log-level', 'info'],
    });
    const address = `${agent.url}/v2/library/herd/blobs/${digest}`;
    const from = performance.now();
    const seconds: number[] = [];
    const wrong = await Promise.all(
      Array.from({ length: clients }, async () => {
        const problem = await readAndCompare(address, blob);
        seconds.push((performance.now() - from) / 1000);
        return problem;
      }),
    );
    const problems = wrong.filter((problem) => problem !== undefined);
    const peak = peakResidentBytesOf(agent.pid());
    const figures: Figures = {
      clients,
      blobMiB: bytes / MIB,
      clientErrors: problems.length,
      originBytesOverBlob: origin.bytes / bytes,
      originGets: origin.gets,
      peakResidentMiB: Math.round(peak / MIB),
      secondsMedian: Number(percentile(seconds, 0.5).toFixed(1)),
      secondsMost: Number(percentile(seconds, 1).toFixed(1)),
    };
    const told = `${JSON.stringify(figures)} ${problems[0] ?? ''}`;
    assert.equal(problems.length, 0, told);
    assert.equal(origin.bytes, bytes, told);
    assert.ok(peak < RESIDENT_BYTES_MAX, told);
    return figures;
  },
};

/** Undefined when every byte came and is right; else what was wrong. */
function readAndCompare(address: string, blob: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    let at = 0;
    let problem: string | undefined;
    const request = get(address, { agent: new Agent({ keepAlive: false }) }, (answer) => {
      if (answer.statusCode !== 200) problem = `status ${answer.statusCode}`;
      answer.on('data', (chunk: Buffer) => {
        if (!blob.subarray(at, at + chunk.length).equals(chunk)) problem = `wrong bytes near ${at}`;
        at += chunk.length;
      });
      answer.on('error', () => {});
      answer.once('close', () => resolve(problem ?? (at === blob.length ? undefined : `ended at ${at}`)));
    });
    request.once('error', (error) => resolve(error.message));
  });
}
