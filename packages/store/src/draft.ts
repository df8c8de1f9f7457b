import type { FileHandle } from 'node:fs/promises';
import { type Draft, Failure, pieceAt, pieceSpan, shortOf } from '@drayage/core';
import { checkedReader, hashBlocks } from './blocks.ts';
import { losePiece, startHash } from './draft-hash.ts';
import { hashSpan, writeRecord } from './draft-map.ts';
import { followDraft } from './draft-reader.ts';
import {
  addPiece,
  breakDown,
  type DraftParts,
  type DraftState,
  has,
  newState,
  removePiece,
  trustPieces,
  wake,
} from './draft-state.ts';
import { withinMs } from './within.ts';

/** A write that takes longer than this ends the draft: a client never waits for a disk that hangs. */
const DISK_WAIT_MS = 10_000;
/** Chunks of one piece beyond this are joined before they are written. */
const CHUNKS_MAX = 256;

/** A draft over its two files. Each `hold` is another hold on it; the last one let go releases it. */
export function startDraft(parts: DraftParts): { readonly hold: () => Draft; readonly heldBytes: () => number } {
  const state = newState(parts);
  const hash = startHash(state);
  const write = writerOf(state, hash);
  hash.catchUp();

  function holdOnce(): () => Promise<void> {
    let held = true;
    state.holders++;
    return async () => {
      if (!held) return;
      held = false;
      state.holders--;
      if (state.holders === 0) await state.release();
    };
  }

  async function seal(signal: AbortSignal): Promise<boolean> {
    if (state.proven) return true;
    if (!(await hash.prove(signal))) return false;
    state.proven = true;
    wake(state);
    // Proven is enough for the readers; a disk that cannot keep the blob is the store's sorrow, not theirs.
    await state.keep().catch(state.trouble);
    return true;
  }

  async function drop(pieces: readonly number[]): Promise<void> {
    for (const piece of pieces) {
      removePiece(state, piece);
      spoil(state, piece);
      await noteRecord(state, piece);
    }
    // Everyone looks again: some of them were spoiled.
    for (const waiter of [...state.waiters]) waiter.wake();
    hash.catchUp();
  }

  const hold = (): Draft => ({
    digest: state.digest,
    plan: state.plan,
    get heldBytes() {
      return state.heldBytes;
    },
    has: (piece) => has(state, piece),
    write,
    trust: (pieces) => trustPieces(state, pieces),
    seal,
    drop,
    readPiece: pieceReader(state),
    follow: () => followDraft(state, holdOnce()),
    waiting: () => [...state.waiters].map(({ piece, since }) => ({ piece, waitedMs: state.now() - since })),
    begin() {
      state.abandoned = undefined;
    },
    fail(error) {
      state.abandoned = error;
      wake(state, error);
    },
    [Symbol.asyncDispose]: holdOnce(),
  });
  return { hold, heldBytes: () => state.heldBytes };
}

function pieceReader(state: DraftState): Draft['readPiece'] {
  const readFile = checkedReader({ handle: state.data, size: state.plan.size, hashes: state.map.hashes });
  return async (into, offset) => {
    const piece = pieceAt(state.plan, offset);
    if (has(state, piece)) {
      const result = await readFile(into, offset, pieceSpan(state.plan, piece).end);
      if (result.ok) return result.bytes;
      if (!state.proven) losePiece(state, piece);
    }
    throw new Failure('blob_lost', `piece ${piece} of ${shortOf(state.digest)} is not here`);
  };
}

function writerOf(state: DraftState, hash: ReturnType<typeof startHash>): Draft['write'] {
  const writing = new Set<number>();
  return async (piece, chunks, from, blockHashes) => {
    if (state.broken) throw state.broken;
    if (has(state, piece) || writing.has(piece) || state.proven) return;
    const { start, end } = pieceSpan(state.plan, piece);
    const span = hashSpan(state.plan, piece);
    const hashes = blockHashes ?? hashBlocks(chunks);
    if (hashes.length !== span.end - span.start)
      throw new Error(`piece ${piece} of ${state.digest} has a wrong length`);
    writing.add(piece);
    try {
      hashes.copy(state.map.hashes, span.start);
      hash.feed(piece, chunks);
      await withinMs(DISK_WAIT_MS, writeAll(state.data, chunks, start, end - start));
    } catch (error) {
      throw breakDown(state, error);
    } finally {
      writing.delete(piece);
    }
    addPiece(state, piece, from);
    await noteRecord(state, piece);
    hash.catchUp();
  };
}

async function noteRecord(state: DraftState, piece: number): Promise<void> {
  await writeRecord(state.mapFile, state.plan, piece, state.map).catch((error: unknown) => {
    throw breakDown(state, error);
  });
}

/** Marks the readers that were given any byte of the piece. */
function spoil({ readers, plan }: DraftState, piece: number): void {
  const { start, end } = pieceSpan(plan, piece);
  for (const given of readers) if (given.from < end && given.to > start) given.spoiled = true;
}

async function writeAll(
  file: FileHandle,
  chunks: readonly Uint8Array[],
  position: number,
  length: number,
): Promise<void> {
  const whole = chunks.length > CHUNKS_MAX ? [Buffer.concat(chunks)] : [...chunks];
  const first = await file.writev(whole, position);
  if (first.bytesWritten === length) return;
  // A short write that is no error: most likely a disk that just filled up. Writing the rest tells.
  const rest = Buffer.concat(whole).subarray(first.bytesWritten);
  const second = await file.write(rest, 0, rest.length, position + first.bytesWritten);
  if (second.bytesWritten !== rest.length)
    throw new Error(`${first.bytesWritten + second.bytesWritten} of ${length} bytes were written`);
}
