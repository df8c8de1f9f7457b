import { BLOCK_BYTES, digestOf, hashLike, pieceAt, pieceSpan } from '@drayage/core';
import { changedPieces } from './draft-map.ts';
import { breakDown, type DraftState, has, removePiece } from './draft-state.ts';

const READ_BYTES = 8 * BLOCK_BYTES;
/**
 * Pieces seldom come in order, and a buffer made for each would be what grows memory. Two serve all drafts in turn; who finds
 * both taken makes one of its own, no longer than a piece.
 */
const SPARES = 2;
const spares: Buffer[] = Array.from({ length: SPARES }, () => Buffer.allocUnsafeSlow(READ_BYTES));

/** The running hash of a draft, which follows the pieces in order however they arrive. */
export interface DraftHash {
  /** A piece that is about to be written; taken from memory when it is the next in order. */
  feed(piece: number, chunks: readonly Uint8Array[]): void;
  /** Goes on, in the background, with pieces that are on the disk already. */
  catchUp(): void;
  /** With every piece here: whether the bytes are the digest's. */
  prove(signal: AbortSignal): Promise<boolean>;
}

export function startHash(state: DraftState): DraftHash {
  const { digest, plan } = state;
  let hash = hashLike(digest);
  let next = 0;
  let isCatchingUp = false;
  let caughtUp: Promise<void> = Promise.resolve();

  state.restartHash = () => {
    hash = hashLike(digest);
    next = 0;
  };

  function catchUp(): void {
    if (isCatchingUp || state.broken || next >= plan.count || !has(state, next)) return;
    const failed = (error: unknown) => void breakDown(state, error);
    isCatchingUp = true;
    caughtUp = hashOn()
      .catch(failed)
      .then(() => {
        isCatchingUp = false;
        catchUp();
      });
  }

  async function hashOn(): Promise<void> {
    const spare = spares.pop();
    try {
      await hashThrough(spare ?? Buffer.allocUnsafeSlow(Math.min(plan.pieceBytes, READ_BYTES)));
    } finally {
      if (spare) spares.push(spare);
    }
  }

  async function hashThrough(buffer: Buffer): Promise<void> {
    while (next < plan.count && has(state, next)) {
      const last = lastTogether(state, next, buffer.length);
      const { start } = pieceSpan(plan, next);
      const { end } = pieceSpan(plan, last);
      const into = hash;
      for (let at = start; at < end; ) {
        const { bytesRead } = await state.data.read(buffer, 0, Math.min(buffer.length, end - at), at);
        // A piece went meanwhile and hashing began again.
        if (into !== hash) return;
        if (bytesRead === 0) return losePiece(state, pieceAt(plan, at));
        into.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
      next = last + 1;
    }
  }

  return {
    feed(piece, chunks) {
      if (piece !== next || isCatchingUp) return;
      for (const chunk of chunks) hash.update(chunk);
      next++;
    },
    catchUp,
    async prove(signal) {
      while (next < plan.count) {
        catchUp();
        if (!isCatchingUp) return false;
        await caughtUp;
        if (state.broken) throw state.broken;
        signal.throwIfAborted();
      }
      if (digestOf(hash.copy(), digest) === digest) return true;
      state.restartHash();
      await loseChanged(state);
      return false;
    },
  };
}

/** The last of the pieces from `first` on that are here and take one read of so many bytes together. */
function lastTogether(state: DraftState, first: number, bytes: number): number {
  const { plan } = state;
  const end = pieceSpan(plan, first).start + bytes;
  let last = first;
  while (last + 1 < plan.count && has(state, last + 1) && pieceSpan(plan, last + 1).end <= end) last++;
  return last;
}

/** What is read for the hash is not checked, since the hash is the check; but it does not say whether the disk was at fault. */
async function loseChanged(state: DraftState): Promise<void> {
  const changed = await changedPieces(state.data, state.plan, state.map).catch((error: unknown) => {
    throw breakDown(state, error);
  });
  for (const piece of changed) losePiece(state, piece);
}

/** The disk no longer holds what was written: the piece has to come again. */
export function losePiece(state: DraftState, piece: number): void {
  state.report({
    kind: 'corrupt',
    where: 'disk',
    digest: state.digest,
    detail: `piece ${piece} of the draft changed on the disk`,
  });
  removePiece(state, piece);
}
