import { type Draft, Failure, shortOf } from '@drayage/core';
import type { Buffers } from './buffers.ts';
import type { Hand, WholePiece } from './downloads.ts';

/** Pieces on their way to the disk before the origin is read on. */
const WRITES_MAX = 4;

export interface KeepingParts {
  readonly draft: Draft;
  readonly buffers: Buffers;
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

export function keepPieces({ draft, buffers, kept, failed }: KeepingParts): Keeping {
  const writes = new Map<number, Promise<void>>();
  let handed: { readonly whole: WholePiece; isTaken: boolean } | undefined;
  let dropping: Promise<void> = Promise.resolve();

  async function write({ piece, bytes, blockHashes }: WholePiece): Promise<void> {
    try {
      // A piece that is dropped is there until it is gone, and what is there is not written.
      await dropping;
      await draft.write(piece, [bytes], blockHashes);
      writes.delete(piece);
      kept(piece);
    } catch (error) {
      failed(error);
    } finally {
      writes.delete(piece);
      buffers.give(bytes);
    }
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
      writes.set(piece, write(handed.whole));
      return handed.whole;
    },
    drop(pieces) {
      const before = pieces.map((piece) => writes.get(piece));
      dropping = Promise.all([dropping, ...before])
        .then(() => draft.drop(pieces))
        .catch(failed);
    },
    async prove(signal) {
      await Promise.all(writes.values());
      if (await draft.seal(signal)) return true;
      for (let piece = 0; piece < draft.plan.count; piece++) if (!draft.has(piece)) return undefined;
      return false;
    },
    async room() {
      if (writes.size >= WRITES_MAX) await Promise.race(writes.values());
    },
    async settled() {
      await Promise.all([...writes.values(), dropping]);
    },
  };
}

/** Who was told that bytes are the blob's was told wrong. */
export function corruptFrom(origin: string, draft: Draft): Failure {
  return new Failure('blob_corrupt', `${origin} sent bytes that are not ${shortOf(draft.digest)}`);
}
