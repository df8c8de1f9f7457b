import { createHash } from 'node:crypto';
import { Agent, get } from 'node:http';
import type { Digest } from '@drayage/core';

export interface Fetched {
  readonly status: number;
  readonly bytes: number;
  /** Whether all bytes came, and are the digest's. */
  readonly sound: boolean;
  /** Whether the answer claimed to be complete and yet was wrong: the one thing that must never be. */
  readonly corrupt: boolean;
}

const STALL_WAIT_MS = 30_000;

/** Gets a blob as curl would: one connection, no resuming; hashes what comes. */
export function fetchBlob(base: string, repository: string, digest: Digest): Promise<Fetched> {
  return new Promise((resolve) => {
    const hash = createHash('sha256');
    let status = 0;
    let bytes = 0;
    const end = (complete: boolean) => {
      const right = `sha256:${hash.digest('hex')}` === digest;
      const ok = complete && status === 200;
      resolve({ status, bytes, sound: ok && right, corrupt: ok && !right });
    };
    const agent = new Agent({ keepAlive: false });
    const request = get(`${base}/v2/${repository}/blobs/${digest}`, { agent }, (answer) => {
      status = answer.statusCode ?? 0;
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        hash.update(chunk);
      });
      answer.once('close', () => end(answer.complete));
      answer.on('error', () => {});
    });
    request.setTimeout(STALL_WAIT_MS, () => request.destroy(new Error('stalled')));
    request.once('error', () => {
      if (status === 0) end(false);
    });
  });
}
