import type { BlobStore, Digest, Draft, PiecePlan, Remote, Report } from '@drayage/core';
import {
  addPiece,
  emptyBitmap,
  listPieces,
  type Member,
  type MemberEvent,
  type MemberId,
  newMember,
  nextDue,
  type Run,
  type Standing,
  stepMember,
} from '@drayage/exchange';
import type { Attestations } from './attestation.ts';
import type { Buffers } from './buffers.ts';
import { carrier } from './carrier.ts';
import type { HomeLine } from './home-line.ts';
import { listenerOf } from './listener.ts';
import type { Listener, Mesh } from './mesh.ts';
import type { Roll } from './roll.ts';
import type { Telling } from './story.ts';

/** A sealed blob that nobody asks for pieces of is left alone after this long. */
const LINGER_MS = 30_000;

/** What all blobs of a host share. */
export interface Shared {
  readonly store: BlobStore;
  readonly mesh: Mesh;
  readonly roll: Roll;
  readonly buffers: Buffers;
  readonly attestations: Attestations;
  readonly standing: Standing;
  readonly line: HomeLine;
  readonly zone: string | undefined;
  /** 0 when it is not known. */
  readonly uplinkBytesPerSecond: number;
  readonly random: () => number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly report: Report;
  readonly quarantined: (member: string, ms: number, why: 'lie' | 'misses') => void;
}

/** A blob that is being filled. */
export interface Filling {
  readonly draft: Draft;
  readonly remote: Remote;
  readonly story: Telling;
  readonly arrived: (from: 'peer' | 'origin', bytes: number) => void;
}

export interface PartParts {
  readonly shared: Shared;
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly homes: readonly MemberId[];
  readonly filling: Filling | undefined;
  /** The piece hashes of a blob that is sealed here. */
  readonly sealed: readonly string[] | undefined;
  /** Called when the part is over, and can be forgotten. */
  readonly over: () => void;
}

/** What this host does in the exchange of one blob: it fills its draft, serves others, and goes on serving for a while. */
export interface Part extends Listener {
  /** Resolves when the blob is proven; rejects when it cannot be had. */
  readonly proven: Promise<void>;
  readonly size: number;
  leased(home: MemberId, run: Run): void;
  /** Whether bytes come from the origin. */
  questioned(home: MemberId): boolean;
  withdrawn(home: MemberId): void;
  stop(reason: Error): Promise<void>;
}

/** What the files of one part share. */
export interface Inside extends PartParts {
  member(): Member;
  listener(): Listener;
  step(event: MemberEvent): void;
  /** Begins anew with what the draft has: the disk lost some of it. */
  restart(): void;
  end(outcome: 'proven' | Error): void;
  readonly signal: AbortSignal;
}

export function takePart(parts: PartParts): Part {
  const { shared, filling } = parts;
  const { now } = shared;
  const stop = new AbortController();
  const proven = Promise.withResolvers<void>();
  // Whoever only serves has nobody to tell.
  proven.promise.catch(() => {});
  const events: MemberEvent[] = [];
  let member = begin(parts);
  let isStepping = false;
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let usedAt = now();

  const inside: Inside = {
    ...parts,
    member: () => member,
    listener: () => part,
    step,
    restart() {
      carry.neighbours.closeAll();
      member = begin(parts);
    },
    end,
    signal: stop.signal,
  };
  const carry = carrier(inside);

  function step(event: MemberEvent): void {
    if (stop.signal.aborted) return;
    events.push(event);
    if (isStepping) return;
    isStepping = true;
    try {
      for (let next = events.shift(); next; next = events.shift())
        for (const decision of stepMember(member, now(), next)) carry.out(decision);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    } finally {
      isStepping = false;
    }
    planTick();
  }

  function planTick(): void {
    const due = nextDue(member);
    if (stop.signal.aborted || due >= dueAt) return;
    clearTimeout(timer);
    dueAt = due;
    timer = setTimeout(tick, Math.max(0, due - now()));
  }

  function tick(): void {
    dueAt = Number.POSITIVE_INFINITY;
    carry.look();
    if (carry.neighbours.size() > 0 || !member.isSealed) usedAt = now();
    else if (now() - usedAt > LINGER_MS) return void close();
    step({ kind: 'tick' });
    planTick();
  }

  function end(outcome: 'proven' | Error): void {
    if (outcome === 'proven') {
      proven.resolve();
      // On a disk that cannot keep it, there is nothing to serve.
      if (shared.store.sizeOf(parts.digest) !== undefined) return;
    } else proven.reject(outcome);
    void close();
  }

  async function close(): Promise<void> {
    if (stop.signal.aborted) return;
    stop.abort(new Error('this part is over'));
    clearTimeout(timer);
    parts.over();
    await carry[Symbol.asyncDispose]();
  }

  const part: Part = {
    ...listenerOf(inside, carry),
    proven: proven.promise,
    size: parts.plan.size,
    leased(home, run) {
      shared.report({ kind: 'lease', outcome: 'granted' });
      filling?.story.note(`may fetch pieces ${run.start} to ${run.end - 1} from the origin`);
      step({ kind: 'leased', home, run });
    },
    questioned: (home) => carry.asked(() => step({ kind: 'questioned', home })),
    withdrawn(home) {
      shared.report({ kind: 'lease', outcome: 'withdrawn' });
      filling?.story.note('is no longer to fetch from the origin');
      step({ kind: 'withdrawn', home });
    },
    async stop(reason) {
      proven.reject(reason);
      await close();
    },
  };
  step({ kind: 'tick' });
  return part;
}

function begin({ shared, plan, homes, filling, sealed }: PartParts): Member {
  const { roll, zone, uplinkBytesPerSecond, standing, random, now } = shared;
  const held = emptyBitmap(plan.count);
  for (let piece = 0; piece < plan.count; piece++) if (filling?.draft.has(piece)) addPiece(held, piece);
  const parts = { self: roll.self, plan, homes, zone, uplinkBytesPerSecond, standing, random };
  return newMember({ ...parts, held, ...(sealed && { sealed }) }, now());
}

/** The pieces that others may be told of. */
export function toldPieces({ told }: Member): readonly number[] {
  return listPieces(told);
}
