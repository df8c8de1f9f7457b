import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '@drayage/core';
import { MIB } from '../lab/images.ts';
import { must } from '../lab/process.ts';
import { processorSeconds } from './nginx.ts';

const BLOB_BYTES: number = 1024 * MIB;

/** What one download cost. */
export interface Sample {
  readonly mebibytesPerSecond: number;
  readonly processorSecondsPerGibibyte: number;
}

/** Makes a gibibyte of noise, as a file named by its digest. */
export async function makeBlob(folder: string, seed: number): Promise<Digest> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  const zeros = Buffer.alloc(16 * MIB);
  const hash = createHash('sha256');
  const partial = join(folder, 'partial');
  const file = createWriteStream(partial);
  for (let made = 0; made < BLOB_BYTES; made += zeros.length) {
    const chunk = cipher.update(zeros);
    hash.update(chunk);
    if (!file.write(chunk)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  await rename(partial, join(folder, digest));
  return digest;
}

/** Downloads a gibibyte with curl, and says what it cost the server. */
export async function download(address: string, serverPid: number): Promise<Sample> {
  const before = processorSeconds(serverPid);
  const format = '%{http_code} %{size_download} %{time_total}';
  const told = await must('curl', ['-sS', '-o', '/dev/null', '-w', format, address]);
  const [status, bytes, seconds] = told.split(' ').map(Number);
  if (status !== 200 || bytes !== BLOB_BYTES) throw new Error(`${address}: ${told}`);
  const gibibytes = BLOB_BYTES / (1024 * MIB);
  return {
    mebibytesPerSecond: BLOB_BYTES / MIB / (seconds ?? 1),
    processorSecondsPerGibibyte: (processorSeconds(serverPid) - before) / gibibytes,
  };
}

/** Our figures beside the other's, from the median of each. */
export function compare(ours: readonly Sample[], theirs: readonly Sample[]): Record<string, number> {
  const middle = (samples: readonly Sample[], value: (sample: Sample) => number) =>
    samples.map(value).sort((one, other) => one - other)[Math.floor(samples.length / 2)] ?? Number.NaN;
  const speed = (sample: Sample) => sample.mebibytesPerSecond;
  const cost = (sample: Sample) => sample.processorSecondsPerGibibyte;
  const round = (value: number) => Number(value.toFixed(2));
  return {
    rounds: ours.length,
    agentMiBPerSecond: Math.round(middle(ours, speed)),
    nginxMiBPerSecond: Math.round(middle(theirs, speed)),
    ratio: round(middle(ours, speed) / middle(theirs, speed)),
    agentCpuSecondsPerGiB: round(middle(ours, cost)),
    nginxCpuSecondsPerGiB: round(middle(theirs, cost)),
  };
}
