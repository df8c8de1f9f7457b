import type { FileHandle } from 'node:fs/promises';
import { type Digest, Failure, type PiecePlan, pieceSpan, type Report, shortOf } from '@drayage/core';
import { type DraftMap, HERE, SURE } from './draft-map.ts';

export interface DraftParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly data: FileHandle;
  readonly mapFile: FileHandle;
  /** What is on the disk already, checked. */
  readonly map: DraftMap;
  readonly report: Report;
  readonly now: () => number;
  /** Makes the proven blob durable and visible to everyone. */
  readonly keep: () => Promise<void>;
  /** The disk failed under the draft. */
  readonly trouble: (error: Error) => void;
  /** Nobody holds the draft any more. */
  readonly release: () => Promise<void>;
}

interface Waiter {
  readonly piece: number;
  readonly since: number;
  readonly wake: (error?: Error) => void;
}

/** What one reader was given, so that it can be told when any of it proves wrong. */
export interface Given {
  from: number;
  to: number;
  spoiled: boolean;
}

/** The one changing thing behind a draft, its writers and its readers. */
export interface DraftState extends DraftParts {
  readonly waiters: Set<Waiter>;
  readonly readers: Set<Given>;
  heldBytes: number;
  /** The whole digest matched: the last piece may be seen. */
  proven: boolean;
  broken: Error | undefined;
  /** Why nobody fills the draft; undefined while somebody does. */
  abandoned: Error | undefined;
  holders: number;
  /** Pieces may have gone: whoever hashes has to begin again. */
  restartHash: () => void;
}

export function newState(parts: DraftParts): DraftState {
  const state: DraftState = {
    ...parts,
    waiters: new Set(),
    readers: new Set(),
    heldBytes: 0,
    proven: false,
    broken: undefined,
    abandoned: undefined,
    holders: 0,
    restartHash: () => {},
  };
  for (let piece = 0; piece < parts.plan.count; piece++)
    if (has(state, piece)) state.heldBytes += bytesOf(state, piece);
  return state;
}

export function has(state: DraftState, piece: number): boolean {
  return (state.map.present[piece] ?? 0) !== 0;
}

export function isVisible(state: DraftState, piece: number): boolean {
  return has(state, piece) && (state.proven || (isSure(state, piece) && piece !== state.plan.count - 1));
}

function isSure({ map }: DraftState, piece: number): boolean {
  return map.present[piece] === SURE;
}

function bytesOf({ plan }: DraftState, piece: number): number {
  const { start, end } = pieceSpan(plan, piece);
  return end - start;
}

export function addPiece(state: DraftState, piece: number, from: 'peer' | 'origin'): void {
  state.map.present[piece] = from === 'origin' ? SURE : HERE;
  state.heldBytes += bytesOf(state, piece);
  wake(state);
}

/** In memory only: noting it would cost a write per piece, and a draft is seldom taken up again. */
export function trustPieces(state: DraftState, pieces: readonly number[]): void {
  for (const piece of pieces) if (has(state, piece)) state.map.present[piece] = SURE;
  wake(state);
}

export function removePiece(state: DraftState, piece: number): void {
  if (!has(state, piece)) return;
  state.map.present[piece] = 0;
  state.heldBytes -= bytesOf(state, piece);
  state.restartHash();
}

/** Lets go on whoever has something to see; with an error, everybody. */
export function wake(state: DraftState, error?: Error): void {
  for (const waiter of [...state.waiters]) {
    if (error || state.broken || isVisible(state, waiter.piece)) waiter.wake(error ?? state.broken);
  }
}

/** Ends the draft for everybody, because its disk does. */
export function breakDown(state: DraftState, cause: unknown): Failure {
  const failure = new Failure('disk_failed', `the disk failed under ${shortOf(state.digest)}`, { cause });
  state.broken ??= failure;
  state.trouble(failure);
  wake(state);
  return failure;
}

export async function untilVisible(state: DraftState, piece: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (state.abandoned) throw state.abandoned;
  return new Promise((resolve, reject) => {
    const waiter: Waiter = {
      piece,
      since: state.now(),
      wake(error) {
        state.waiters.delete(waiter);
        signal.removeEventListener('abort', giveUp);
        if (error) reject(error);
        else resolve();
      },
    };
    const giveUp = () => waiter.wake(new Error('reading was given up', { cause: signal.reason }));
    state.waiters.add(waiter);
    signal.addEventListener('abort', giveUp, { once: true });
  });
}

export function corrupt(digest: Digest): Failure {
  return new Failure('blob_corrupt', `the bytes that came for ${digest} are not its own`);
}
