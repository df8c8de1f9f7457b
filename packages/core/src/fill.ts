import type { Draft, Remote } from './blob.ts';
import { shortOf } from './digest.ts';
import { Failure } from './failure.ts';
import { pieceSpan } from './pieces.ts';
import type { Report } from './report.ts';
import { PATIENCE_MS, readThrough } from './resume.ts';

/** Streams that one fill may have open at its origin. */
const RUNS_MAX = 4;
/** A reader that waits this long for bytes no stream is about to reach gets a stream of its own. */
const DEMAND_WAIT_MS = 1000;
const DEMAND_LOOK_EVERY_MS = 250;
/** A wanted piece that a stream reaches within this time, at its pace so far, is left to it: what is cut off is paid twice. */
const REACH_WAIT_MS = 4000;
/** Pieces of one stream on their way to the disk. */
const WRITES_MAX = 4;
/** Times that pieces may vanish from the disk before it is given up. */
const ROUNDS_MAX = 5;

export interface FillJob {
  readonly draft: Draft;
  readonly remote: Remote;
  /** Called for every byte that arrived, before it is known to be right. */
  readonly arrived: (from: 'peer' | 'origin', bytes: number) => void;
}

/** Brings a draft to its sealing. Throws `blob_corrupt` when what came is not the digest's. */
export type Fill = (job: FillJob, signal: AbortSignal) => Promise<void>;

export interface OriginFillParts {
  readonly report: Report;
  /** How long a stream that broke off is taken up again in vain. */
  readonly patienceMs?: number;
}

/** Fills from the origin alone. */
export function originFill({ report, patienceMs = PATIENCE_MS }: OriginFillParts): Fill {
  return async (given, signal) => {
    const job = { ...given, patienceMs };
    const { draft, remote } = job;
    // Pieces of an earlier life may be what is wrong; without any, asking the same origin again changes nothing.
    let mayRetry = draft.heldBytes > 0;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      await fetchMissing(job, signal);
      if (await draft.seal(signal)) return;
      if (firstMissing(draft) !== undefined) continue;
      const problem = `${remote.origin} sent bytes that are not ${shortOf(draft.digest)}`;
      report({ kind: 'corrupt', where: 'origin', digest: draft.digest, detail: problem });
      await draft.drop(Array.from({ length: draft.plan.count }, (_, piece) => piece));
      if (!mayRetry) throw new Failure('blob_corrupt', problem);
      mayRetry = false;
    }
    throw new Failure('disk_failed', `the disk keeps losing pieces of ${shortOf(draft.digest)}`);
  };
}

/** One stream from the origin, over pieces that no other stream fetches. */
interface Run {
  next: number;
  end: number;
  readonly first: number;
  readonly startedAt: number;
}

type PatientJob = FillJob & { readonly patienceMs: number };

async function fetchMissing(job: PatientJob, signal: AbortSignal): Promise<void> {
  const { draft } = job;
  const runs = new Set<Run>();
  const all = new AbortController();
  const stop = AbortSignal.any([signal, all.signal]);
  const running = new Set<Promise<void>>();

  function launch(piece: number): void {
    const run = claim(draft, runs, piece);
    runs.add(run);
    const done = fetchRun(job, run, stop).then(() => {
      runs.delete(run);
      running.delete(done);
      const left = firstMissing(draft, runs);
      if (left !== undefined && runs.size === 0) launch(left);
    });
    running.add(done);
  }

  const look = setInterval(() => {
    for (const { piece, waitedMs } of draft.waiting()) {
      if (runs.size >= RUNS_MAX) return;
      const isComing = [...runs].some((run) => reachMs(run, piece) <= REACH_WAIT_MS);
      if (waitedMs >= DEMAND_WAIT_MS && !draft.has(piece) && !isComing) launch(piece);
    }
  }, DEMAND_LOOK_EVERY_MS);

  try {
    const first = firstMissing(draft);
    if (first !== undefined) launch(first);
    while (running.size > 0) await Promise.race(running);
  } finally {
    clearInterval(look);
    all.abort();
    await Promise.allSettled(running);
  }
}

/** How long the run still takes to come to this piece, by its pace so far. */
function reachMs({ first, next, end, startedAt }: Run, piece: number): number {
  if (piece < next || piece >= end) return Number.POSITIVE_INFINITY;
  const msPerPiece = (performance.now() - startedAt) / Math.max(1, next - first);
  return (piece - next) * msPerPiece;
}

/** A run from this piece to the next that is here or another run's; the run that was about to reach it ends before it. */
function claim(draft: Draft, runs: ReadonlySet<Run>, piece: number): Run {
  let end = piece + 1;
  const heads = new Set([...runs].map(({ next }) => next));
  while (end < draft.plan.count && !draft.has(end) && !heads.has(end)) end++;
  for (const run of runs) if (run.next < piece && run.end > piece) run.end = piece;
  return { next: piece, end, first: piece, startedAt: performance.now() };
}

/** The first piece that is neither here nor being fetched. */
function firstMissing(draft: Draft, runs: ReadonlySet<Run> = new Set()): number | undefined {
  for (let piece = 0; piece < draft.plan.count; piece++) {
    if (draft.has(piece)) continue;
    const run = [...runs].find(({ next, end }) => piece >= next && piece < end);
    if (!run) return piece;
    piece = run.end - 1;
  }
  return undefined;
}

async function fetchRun(
  { draft, remote, arrived, patienceMs }: PatientJob,
  run: Run,
  signal: AbortSignal,
): Promise<void> {
  const { plan, digest } = draft;
  const span = { start: pieceSpan(plan, run.next).start, end: pieceSpan(plan, run.end - 1).end };
  const writer = pieceWriter(draft);
  for await (const chunk of readThrough({ remote, digest, span, patienceMs }, signal)) {
    arrived('origin', chunk.length);
    for (let at = 0; at < chunk.length && run.next < run.end; ) {
      const wanted = pieceSpan(plan, run.next);
      at += writer.add(chunk.subarray(at), wanted.end - wanted.start);
      if (!writer.isWhole()) continue;
      await writer.write(run.next);
      run.next++;
    }
    if (run.next >= run.end) break;
  }
  await writer.finish();
}

interface PieceWriter {
  /** Takes what still fits into the piece, and says how much that was. */
  add(bytes: Uint8Array, pieceBytes: number): number;
  isWhole(): boolean;
  /** Starts writing the piece, as soon as not too many others are on their way. */
  write(piece: number): Promise<void>;
  finish(): Promise<void>;
}

/** Gathers bytes into pieces, in a few buffers that are used again and again. */
function pieceWriter(draft: Draft): PieceWriter {
  const free: Buffer[] = [];
  const writes = new Set<Promise<void>>();
  let buffer: Buffer | undefined;
  let filled = 0;
  let wanted = 0;

  return {
    add(bytes, pieceBytes) {
      buffer ??= free.pop() ?? Buffer.allocUnsafeSlow(Math.min(draft.plan.pieceBytes, draft.plan.size));
      wanted = pieceBytes;
      const part = bytes.subarray(0, wanted - filled);
      buffer.set(part, filled);
      filled += part.length;
      return part.length;
    },
    isWhole: () => filled === wanted,
    async write(piece) {
      const full = buffer;
      if (!full) return;
      const write: Promise<void> = draft.write(piece, [full.subarray(0, filled)], 'origin').then(() => {
        writes.delete(write);
        free.push(full);
      });
      // Its failure is met at the next race, or at the end.
      write.catch(() => undefined);
      writes.add(write);
      buffer = undefined;
      filled = 0;
      if (writes.size >= WRITES_MAX) await Promise.race(writes);
    },
    async finish() {
      await Promise.all(writes);
    },
  };
}
