import { BLOCK_BYTES, type BlobReader, Failure, pieceAt, pieceSpan, shortOf } from '@drayage/core';
import { checkedReader } from './blocks.ts';
import { losePiece } from './draft-hash.ts';
import { breakDown, corrupt, type DraftState, type Given, isVisible, untilVisible } from './draft-state.ts';

/** A reader that follows the draft at its own pace. `letGo` is called once, when it is disposed. */
export function followDraft(state: DraftState, letGo: () => Promise<void>): BlobReader {
  const { digest, plan } = state;
  const given: Given = { from: Number.MAX_SAFE_INTEGER, to: 0, spoiled: false };
  const readFile = checkedReader({ handle: state.data, size: plan.size, hashes: state.map.hashes });
  state.readers.add(given);

  async function read(into: Buffer, offset: number, signal: AbortSignal): Promise<number> {
    while (offset < plan.size) {
      if (given.spoiled) throw corrupt(digest);
      if (state.broken) throw state.broken;
      const piece = pieceAt(plan, offset);
      if (!isVisible(state, piece)) {
        await untilVisible(state, piece, signal);
        continue;
      }
      const limit = pieceSpan(plan, lastVisible(state, piece, offset + into.length)).end;
      // Before it is read: what proves wrong meanwhile must not be given either.
      given.from = Math.min(given.from, offset);
      given.to = Math.max(given.to, Math.min(limit, offset + into.length));
      const result = await readFile(into, offset, limit).catch((error: unknown) => {
        throw breakDown(state, error);
      });
      if (given.spoiled) throw corrupt(digest);
      if (result.ok) return result.bytes;
      const bad = pieceAt(plan, result.block * BLOCK_BYTES);
      if (state.proven) throw new Failure('blob_lost', `${shortOf(digest)} changed on the disk at piece ${bad}`);
      losePiece(state, bad);
    }
    return 0;
  }

  return {
    digest,
    size: plan.size,
    read,
    async [Symbol.asyncDispose]() {
      state.readers.delete(given);
      await letGo();
    },
  };
}

/** The last piece of the visible run that begins at `piece` and is useful to a read that ends at `end`. */
function lastVisible(state: DraftState, piece: number, end: number): number {
  let last = piece;
  while ((last + 1) * state.plan.pieceBytes < end && isVisible(state, last + 1)) last++;
  return last;
}
