import { anyOf } from './any-of.ts';
import type { BlobReader, Draft, OpenBlob, Remote, Source } from './blob.ts';
import type { Digest } from './digest.ts';
import { describe } from './failure.ts';
import type { Fill } from './fill.ts';
import type { Report } from './report.ts';

/** A fill that nobody reads goes on this long: dockerd comes back for a broken download after 5 s, a kubelet after 10. */
const LINGER_MS = 30_000;
const ENDED_KEPT_MAX = 100;

/** A fill that runs or ran lately. */
export interface PullStatus {
  readonly digest: Digest;
  readonly origin: string;
  readonly size: number;
  readonly heldBytes: number;
  readonly readers: number;
  readonly state: 'filling' | 'sealed' | 'stopped' | 'failed';
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly bytesFrom: { readonly disk: number; readonly peer: number; readonly origin: number };
  readonly problem: string | undefined;
}

export interface FillsParts {
  readonly fill: Fill;
  readonly report: Report;
  readonly now?: () => number;
  readonly lingerMs?: number;
}

/** The fills of this host, one per draft. */
export interface Fills extends AsyncDisposable {
  /** A reader of the draft, and of its fill, which is started when none runs. The draft is let go when both are done. */
  follow(draft: Draft, remote: Remote): Promise<OpenBlob>;
  /** Keeps the fill of the draft going as a reader would, to its end. Whether the blob is sealed then. */
  finish(draft: Draft, remote: Remote, signal: AbortSignal): Promise<boolean>;
  list(): readonly PullStatus[];
}

interface Run {
  readonly draft: Draft;
  readonly origin: string;
  /** The repository as each reader may see it; the last one's stays when it leaves. */
  readonly remotes: Set<Remote>;
  readonly startedAt: number;
  readonly bytesFrom: { disk: number; peer: number; origin: number };
  readonly stop: AbortController;
  /** Whether it ended with the seal. */
  ended: Promise<boolean>;
  readers: number;
  linger: NodeJS.Timeout | undefined;
}

/** One who follows a fill, whether reading or not. */
interface Reader extends OpenBlob {
  readonly ended: Promise<boolean>;
}

export function startFills({ fill, report, now = Date.now, lingerMs = LINGER_MS }: FillsParts): Fills {
  const runs = new Map<Digest, Run>();
  const ended: PullStatus[] = [];

  function start(draft: Draft, remote: Remote): Run {
    const run = newRun(draft, remote, now());
    runs.set(draft.digest, run);
    report({ ...factsOf(run), kind: 'fill', state: 'started', bytes: 0, seconds: 0, problem: undefined });
    draft.begin();
    run.ended = carryOut(run, anyOf(run.remotes));
    return run;
  }

  async function carryOut(run: Run, remote: Remote): Promise<boolean> {
    const outcome = await outcomeOf(run, (signal) => {
      const arrived = (from: 'peer' | 'origin', bytes: number) => {
        run.bytesFrom[from] += bytes;
        report({ kind: 'fetched', from, origin: remote.origin, bytes });
      };
      return fill({ draft: run.draft, remote, arrived }, signal);
    });
    clearTimeout(run.linger);
    runs.delete(run.draft.digest);
    const status = { ...statusOf(run), ...outcome, endedAt: now() };
    ended.push(status);
    ended.splice(0, ended.length - ENDED_KEPT_MAX);
    const seconds = (status.endedAt - run.startedAt) / 1000;
    report({ ...factsOf(run), ...outcome, kind: 'fill', bytes: status.heldBytes, seconds });
    await run.draft[Symbol.asyncDispose]();
    return status.state === 'sealed';
  }

  function countReader(run: Run, blob: BlobReader, remote: Remote): Reader {
    enter(run, remote);
    return {
      ...blob,
      ended: run.ended,
      get source() {
        return sourceOf(run);
      },
      async [Symbol.asyncDispose]() {
        leave(run, remote);
        if (run.readers === 0 && runs.get(blob.digest) === run) {
          run.linger = setTimeout(() => run.stop.abort(new Error('nobody reads it any more')), lingerMs).unref();
        }
        await blob[Symbol.asyncDispose]();
      },
    };
  }

  async function follow(draft: Draft, remote: Remote): Promise<Reader> {
    let run = runs.get(draft.digest);
    while (run?.stop.signal.aborted) {
      await run.ended;
      run = runs.get(draft.digest);
    }
    const blob = draft.follow();
    if (run) await draft[Symbol.asyncDispose]();
    return countReader(run ?? start(draft, remote), blob, remote);
  }

  return {
    follow,
    async finish(draft, remote, signal) {
      await using reader = await follow(draft, remote);
      return await unlessAborted(reader.ended, signal);
    },
    list: () => [...[...runs.values()].map(statusOf), ...ended],
    async [Symbol.asyncDispose]() {
      const all = [...runs.values()];
      for (const { stop } of all) stop.abort(new Error('the agent is stopping'));
      await Promise.all(all.map((run) => run.ended));
    },
  };
}

function enter(run: Run, remote: Remote): void {
  run.readers++;
  run.remotes.add(remote);
  clearTimeout(run.linger);
}

function leave(run: Run, remote: Remote): void {
  run.readers--;
  if (run.remotes.size > 1) run.remotes.delete(remote);
}

/** False as soon as the signal aborts. */
async function unlessAborted(outcome: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const aborted = Promise.withResolvers<false>();
  const giveUp = () => aborted.resolve(false);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([outcome, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** How it ended. Who still waits for missing bytes is told. */
async function outcomeOf(
  { draft, stop }: Run,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<Pick<PullStatus, 'problem'> & { readonly state: 'sealed' | 'stopped' | 'failed' }> {
  try {
    await work(stop.signal);
    return { state: 'sealed', problem: undefined };
  } catch (error) {
    const why = stop.signal.aborted ? stop.signal.reason : error;
    draft.fail(why instanceof Error ? why : new Error(String(why)));
    return { state: stop.signal.aborted ? 'stopped' : 'failed', problem: describe(why) };
  }
}

function newRun(draft: Draft, remote: Remote, startedAt: number): Run {
  return {
    draft,
    origin: remote.origin,
    remotes: new Set([remote]),
    startedAt,
    bytesFrom: { disk: draft.heldBytes, peer: 0, origin: 0 },
    stop: new AbortController(),
    ended: Promise.resolve(false),
    readers: 0,
    linger: undefined,
  };
}

/** Where the bytes come from, as far as that is known. */
function sourceOf({ draft, bytesFrom: { disk, peer, origin } }: Run): Source | undefined {
  if (disk === draft.plan.size && peer + origin === 0) return 'disk';
  // What the disk lacks comes from elsewhere, wherever that will be.
  if (disk > 0 || (peer > 0 && origin > 0)) return 'mixed';
  return peer > 0 ? 'peer' : origin > 0 ? 'origin' : undefined;
}

function factsOf({ draft, origin }: Run): { readonly digest: Digest; readonly origin: string } {
  return { digest: draft.digest, origin };
}

function statusOf({ draft, origin, startedAt, bytesFrom, readers }: Run): PullStatus {
  return {
    digest: draft.digest,
    origin,
    size: draft.plan.size,
    heldBytes: draft.heldBytes,
    readers,
    state: 'filling',
    startedAt,
    endedAt: undefined,
    bytesFrom: { ...bytesFrom },
    problem: undefined,
  };
}
