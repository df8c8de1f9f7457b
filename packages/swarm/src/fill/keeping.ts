import { type Draft, Failure, shortOf } from '@drayage/core';
import { type Buffers, nameOf } from './buffers.ts';
import type { Hand, WholePiece } from './downloads.ts';

/** Pieces on their way to the disk before the origin is read on. */
const WRITES_MAX = 4;

export interface KeepingParts {
  readonly draft: Draft;
  readonly buffers: Buffers;
  /** Whether others may ask for what comes now. */
  readonly isWanted: () => boolean;
  /** A piece is in the draft. */
  readonly kept: (piece: number) => void;
  readonly failed: (error: unknown) => void;
}

/** Puts pieces into a draft, in the order that the exchange decides. */
export interface Keeping {
  readonly hand: Hand;
  /** Keeps the piece that is being handed over. */
  keep(piece: number): WholePiece;
  drop(pieces: readonly number[]): void;
  /** Whether the draft is the blob: undefined when the disk lost pieces that were here. */
  prove(signal: AbortSignal): Promise<boolean | undefined>;
  room(): Promise<void>;
  settled(): Promise<void>;
}

export function keepPieces({ draft, buffers, isWanted, kept, failed }: KeepingParts): Keeping {
  const writes = new Set<Promise<void>>();
  /** What is being written and still wanted, by piece. */
  const wanted = new Map<number, WholePiece>();
  let handed: { readonly whole: WholePiece; isTaken: boolean } | undefined;
  /** Pieces being dropped, or the draft being read through: what is written or dropped meanwhile would be lost, or sealed unproven. */
  let busy: Promise<unknown> = Promise.resolve();
  let isProven = false;

  async function write(whole: WholePiece): Promise<void> {
    const { piece, bytes, blockHashes, attestation } = whole;
    let name: string | undefined;
    try {
      await busy;
      if (!isProven) await draft.write(piece, [bytes], attestation ? 'peer' : 'origin', blockHashes);
      // Dropped in the meantime, it is about to go.
      if (wanted.get(piece) !== whole) return;
      wanted.delete(piece);
      if (isWanted()) name = nameOf(draft.digest, piece);
      kept(piece);
    } catch (error) {
      failed(error);
    } finally {
      buffers.give(bytes, name);
    }
  }

  async function isBlob(signal: AbortSignal): Promise<boolean | undefined> {
    isProven ||= await draft.seal(signal);
    if (isProven) return true;
    for (let piece = 0; piece < draft.plan.count; piece++) if (!draft.has(piece)) return undefined;
    return false;
  }

  return {
    hand(whole, tell) {
      const hand = { whole, isTaken: false };
      handed = hand;
      tell();
      handed = undefined;
      if (!hand.isTaken) buffers.give(whole.bytes);
      return hand.isTaken;
    },
    keep(piece) {
      if (handed?.whole.piece !== piece) throw new Error(`piece ${piece} of ${draft.digest} is to be kept unseen`);
      handed.isTaken = true;
      wanted.set(piece, handed.whole);
      const writing: Promise<void> = write(handed.whole).finally(() => writes.delete(writing));
      writes.add(writing);
      return handed.whole;
    },
    drop(pieces) {
      for (const piece of pieces) {
        wanted.delete(piece);
        buffers.forget(nameOf(draft.digest, piece));
      }
      busy = Promise.all([busy, ...writes])
        .then(() => (isProven ? undefined : draft.drop(pieces)))
        .catch(failed);
    },
    async prove(signal) {
      const proof = Promise.all([busy, ...writes]).then(() => isBlob(signal));
      busy = proof.catch(() => undefined);
      return await proof;
    },
    async room() {
      if (writes.size >= WRITES_MAX) await Promise.race(writes);
    },
    async settled() {
      await Promise.all([...writes, busy]);
    },
  };
}

/** Who was told that bytes are the blob's was told wrong. */
export function corruptFrom(origin: string, draft: Draft): Failure {
  return new Failure('blob_corrupt', `${origin} sent bytes that are not ${shortOf(draft.digest)}`);
}
