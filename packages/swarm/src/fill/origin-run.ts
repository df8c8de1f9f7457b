import { type Digest, isFailure, type PiecePlan, pieceSpan, type Remote } from '@drayage/core';
import type { MemberEvent, Run } from '@drayage/exchange';
import type { Buffers } from './buffers.ts';
import type { Hand } from './downloads.ts';
import { hashPiece } from './piece-hash.ts';
import type { Telling } from './story.ts';

const HEARD_EVERY_MS = 100;

export interface OriginRunParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly remote: Remote;
  readonly buffers: Buffers;
  readonly story: Telling;
  readonly arrived: (bytes: number) => void;
  readonly now: () => number;
  readonly step: (event: MemberEvent) => void;
  readonly hand: Hand;
  /** Resolves when not too many pieces are on their way to the disk. */
  readonly room: () => Promise<void>;
  /** Told why the origin did not give what was asked for. */
  readonly failed: (error: unknown) => void;
}

/** Fetches a run of pieces over one connection, and says whether all came. A failure is told as an event. */
export async function fetchRun(parts: OriginRunParts, run: Run, signal: AbortSignal): Promise<boolean> {
  const { story, step } = parts;
  const progress = { isWhole: false };
  story.origin('request');
  try {
    await readRun(parts, { ...run, progress }, signal);
    if (progress.isWhole || signal.aborted) return progress.isWhole;
    throw new Error(`${parts.remote.origin} ended ${parts.digest} early`);
  } catch (error) {
    // What goes wrong after the last byte is no failure, and another run may be under way by then.
    if (progress.isWhole || signal.aborted) return progress.isWhole;
    story.origin('failure');
    parts.failed(error);
    const isRefusal = isFailure(error) && error.code !== 'origin_unavailable';
    step({ kind: isRefusal ? 'origin refused' : 'origin failed' });
    return false;
  }
}

interface Reading extends Run {
  /** Whether every piece came. */
  readonly progress: { isWhole: boolean };
}

async function readRun(parts: OriginRunParts, run: Reading, signal: AbortSignal): Promise<void> {
  const { digest, plan, remote, step, now } = parts;
  const span = { start: pieceSpan(plan, run.start).start, end: pieceSpan(plan, run.end - 1).end };
  using gather = gatherer(parts, run);
  let heardAt = now();
  const { progress } = run;
  for await (const chunk of remote.read(digest, span, signal)) {
    // An origin that sends more than it was asked for may never end.
    if (signal.aborted || progress.isWhole) return;
    parts.arrived(chunk.length);
    parts.story.originBytes(chunk.length);
    for (let at = 0; at < chunk.length && !progress.isWhole; ) {
      at += gather.add(chunk.subarray(at));
      const whole = gather.whole();
      if (!whole) continue;
      const { piece, bytes } = whole;
      const { hash, blockHashes } = hashPiece(bytes);
      parts.hand({ ...whole, blockHashes, attestation: undefined }, () =>
        step({ kind: 'origin arrived', piece, hash }),
      );
      progress.isWhole = piece === run.end - 1;
      await parts.room();
    }
    if (now() - heardAt < HEARD_EVERY_MS) continue;
    heardAt = now();
    if (!progress.isWhole) step({ kind: 'origin heard' });
  }
}

interface Gatherer extends Disposable {
  /** Takes what still fits into the piece, and says how much that was. */
  add(bytes: Uint8Array): number;
  /** The piece, when it is whole: the next begins. */
  whole(): { readonly piece: number; readonly bytes: Buffer } | undefined;
}

function gatherer({ plan, buffers }: OriginRunParts, { start: first }: Run): Gatherer {
  let piece = first;
  let buffer: Buffer | undefined;
  let filled = 0;
  return {
    add(bytes) {
      const { start, end } = pieceSpan(plan, piece);
      buffer ??= buffers.demand(end - start);
      const part = bytes.subarray(0, buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
      return part.length;
    },
    whole() {
      if (!buffer || filled < buffer.length) return undefined;
      const bytes = buffer;
      buffer = undefined;
      filled = 0;
      return { piece: piece++, bytes };
    },
    [Symbol.dispose]() {
      if (buffer) buffers.give(buffer);
    },
  };
}
