import { createHash } from 'node:crypto';
import { readBody } from './read-body.ts';

/** What a light client is to pull, and from where. */
export interface PullOrder {
  readonly base: string;
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
}

/** How a pull went. Times are milliseconds of the machine's own clock, the same for every process. */
export interface PullReport {
  readonly startedAt: number;
  readonly endedAt: number;
  /** Bytes of blobs whose digest was right. */
  readonly soundBytes: number;
  /** Bodies that came whole and yet were wrong: the one thing that must never be. */
  readonly corrupt: number;
  /** What went wrong, with the path. */
  readonly problems: readonly string[];
  /** The longest wait for bytes while a blob was on its way, its first included. */
  readonly longestGapMs: number;
}

/** As dockerd and containerd do by default. */
const BLOBS_AT_ONCE = 3;
const MANIFESTS = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
];

/** Milliseconds of a clock that all processes of this machine share. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/**
 * Pulls an image of one platform as a runtime does: the manifest, then its blobs, three at a time, each hashed. Keeps
 * nothing and never tries again, so every failure of a server is seen.
 */
export async function pullImage({ base, repository, reference }: PullOrder): Promise<PullReport> {
  const startedAt = now();
  const tally = { soundBytes: 0, corrupt: 0, longestGapMs: 0, problems: [] as string[] };
  const get = async (path: string, digest: string | undefined, keep: boolean): Promise<Buffer> => {
    const hash = createHash('sha256');
    const kept: Buffer[] = [];
    let bytes = 0;
    let last = now();
    const head = await readBody(`${base}/v2/${repository}/${path}`, MANIFESTS.join(', '), (part) => {
      const time = now();
      tally.longestGapMs = Math.max(tally.longestGapMs, time - last);
      last = time;
      hash.update(part);
      bytes += part.length;
      if (keep) kept.push(Buffer.from(part));
    });
    if (head.status !== 200) throw new Error(`status ${head.status} ${Buffer.concat(kept).toString('latin1', 0, 300)}`);
    const expected = digest ?? head.headers.get('docker-content-digest');
    const actual = `sha256:${hash.digest('hex')}`;
    if (actual !== expected) {
      tally.corrupt += 1;
      throw new Error(`the body is ${actual}`);
    }
    if (!keep) tally.soundBytes += bytes;
    return Buffer.concat(kept);
  };
  const attempt = async (path: string, digest: string | undefined, keep = false): Promise<Buffer | undefined> => {
    try {
      return await get(path, digest, keep);
    } catch (error) {
      tally.problems.push(`${path}: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  };
  const isDigest = reference.startsWith('sha256:');
  const manifest = await attempt(`manifests/${reference}`, isDigest ? reference : undefined, true);
  if (manifest) {
    const { config, layers } = JSON.parse(manifest.toString('utf8'));
    const left: { digest: string }[] = [config, ...layers];
    const work = async () => {
      for (let blob = left.shift(); blob; blob = left.shift()) await attempt(`blobs/${blob.digest}`, blob.digest);
    };
    await Promise.all(Array.from({ length: BLOBS_AT_ONCE }, work));
  }
  return { startedAt, endedAt: now(), ...tally };
}
