import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '@drayage/core';
import { type Agent, startAgent } from '../lab/agent.ts';
import { fetchBlob } from '../lab/fetch-blob.ts';
import { within } from '../lab/process.ts';
import { type StaticOrigin, startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import type { Figures, Proof } from './proof.ts';

const REPOSITORY = 'library/syscalls';
const BLOB_BYTES = [700_000, 300_000, 2000];
const ATTACH_WAIT_MS = 10_000;
const PULL_WAIT_MS = 20_000;
const ERRORS = ['EIO', 'ENOSPC'];
/** Every n-th case in the short form. */
const SHORT_STRIDE = 3;

const CALLS = {
  open: ['openat'],
  write: ['write', 'pwrite64', 'writev', 'pwritev'],
  sync: ['fsync', 'fdatasync'],
  rename: ['rename', 'renameat', 'renameat2'],
} as const;

/** Whichever call on the store fails, and however often it was made before, the pull succeeds. */
export const syscalls: Proof = {
  name: 'syscalls',
  title: 'the k-th open, write, fsync or rename of the store fails with EIO or ENOSPC',
  needs: ['strace'],
  run: async (folder, short) => {
    await using origin = await startStaticOrigin();
    const digests = BLOB_BYTES.map((bytes) => origin.add(noise(bytes, `syscalls-${bytes}`)));
    const bench = { folder: join(folder, 'agent'), data: join(folder, 'data'), origin, digests };
    const record = await recordCalls(bench);
    const cases = Object.entries(CALLS).flatMap(([kind, names]) =>
      ERRORS.flatMap((error) =>
        Array.from({ length: record.most(names) }, (_, at) => ({ kind, names, error, nth: at + 1 })),
      ),
    );
    const chosen = short ? cases.filter((_, at) => at % SHORT_STRIDE === 0) : cases;
    const broken: string[] = [];
    let struck = 0;
    for (const { kind, names, error, nth } of chosen) {
      const inject = ['-e', `inject=${names.join(',')}:error=${error}:when=${nth}`];
      const outcome = await pullUnderStrace(bench, names, [...inject, ...record.paths.flatMap((path) => ['-P', path])]);
      if (outcome.trace.includes('(INJECTED)')) struck += 1;
      if (outcome.problem !== undefined) broken.push(`${kind} ${nth} ${error}: ${outcome.problem}`);
    }
    const figures: Figures = { cases: cases.length, run: chosen.length, struck, broken: broken.length };
    assert.equal(broken.length, 0, `${JSON.stringify(figures)}\n${broken.join('\n')}`);
    assert.ok(struck >= chosen.length / 2, `too few failures took place: ${JSON.stringify(figures)}`);
    return figures;
  },
};

interface Bench {
  readonly folder: string;
  readonly data: string;
  readonly origin: StaticOrigin;
  readonly digests: readonly Digest[];
}

interface Record {
  /** Everything below the data folder that a pull touches. */
  readonly paths: readonly string[];
  /** How often one thread made one of these calls, at most. */
  most(names: readonly string[]): number;
}

/** strace matches whole paths only, so a first pull shows which paths there are; the same blobs make the same paths. */
async function recordCalls(bench: Bench): Promise<Record> {
  const all = Object.values(CALLS).flat();
  const { trace, problem } = await pullUnderStrace(bench, all, ['-y']);
  assert.equal(problem, undefined);
  const paths = new Set(trace.match(new RegExp(`${bench.data}[^"<>, ]*`, 'g')) ?? []);
  const counts = new Map<string, number>();
  for (const line of trace.split('\n')) {
    const [, thread, name] = /^(\d+)\s+(\w+)\(/.exec(line) ?? [];
    if (!line.includes(bench.data) || name === undefined) continue;
    counts.set(`${thread} ${name}`, (counts.get(`${thread} ${name}`) ?? 0) + 1);
  }
  return {
    paths: [...paths],
    most: (names) =>
      Math.max(0, ...[...counts].filter(([key]) => names.some((name) => key.endsWith(` ${name}`))).map(([, n]) => n)),
  };
}

/** Pulls all blobs twice through a fresh agent that strace has hold of. */
async function pullUnderStrace(
  { folder, data, origin, digests }: Bench,
  calls: readonly string[],
  options: readonly string[],
): Promise<{ trace: string; problem: string | undefined }> {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true });
  const output = `${data}.strace`;
  // With one worker thread the order of calls is the same in each run, and the k-th is the same call.
  const env = { UV_THREADPOOL_SIZE: '1' };
  await using agent = await startAgent({ folder, data, originUrl: origin.url, env });
  const trace = ['-e', `trace=${calls.join(',')}`, '-o', output];
  const strace = spawn('strace', ['-f', '-p', `${agent.pid()}`, ...trace, ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = once(strace, 'exit');
  try {
    await within('strace to attach', ATTACH_WAIT_MS, once(strace.stderr, 'data'));
    return { problem: await pullTwice(agent, digests), trace: readFileSync(output, 'utf8') };
  } finally {
    strace.kill('SIGINT');
    await gone;
  }
}

async function pullTwice(agent: Agent, digests: readonly Digest[]): Promise<string | undefined> {
  for (const turn of ['first', 'second']) {
    const pulls = digests.map((digest) => fetchBlob(agent.url, REPOSITORY, digest));
    const results = await within('the pull', PULL_WAIT_MS, Promise.all(pulls)).catch((error: Error) => error.message);
    if (typeof results === 'string') return results;
    for (const result of results) {
      if (result.corrupt) return `corrupt bytes in the ${turn} pull`;
      if (!result.sound) return `the ${turn} pull failed: ${JSON.stringify(result)}`;
    }
  }
  const alive = await fetch(`${agent.admin}/livez`).catch(() => undefined);
  return alive?.status === 200 ? undefined : 'the agent is gone';
}
