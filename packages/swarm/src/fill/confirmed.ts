import { hasPiece } from '@drayage/exchange';
import type { Filling, Inside } from './part-types.ts';

/** Smaller blobs are here, and proven, before anybody has answered. */
const ASKED_BYTES_MIN = 8 * 1024 * 1024;

/** Lets readers see what members sent as soon as the holders of the whole blob agree on it. */
export interface Confirmed {
  /** A piece is in the draft. */
  kept(piece: number): void;
  /** A reader waits for this piece, be it here or not. */
  waitsFor(piece: number): void;
}

export function trustConfirmed(inside: Inside, { draft, story }: Filling): Confirmed {
  const { digest, plan, shared, signal, member, end } = inside;
  let agreed: readonly string[] | undefined;
  let isTold = false;

  /** By what the exchange holds: a piece that proved wrong is not among it from the moment that it is to be dropped. */
  const isAgreed = (piece: number) => {
    const { held, hashes } = member();
    return agreed !== undefined && hasPiece(held, piece) && hashes[piece] === agreed[piece];
  };

  async function ask(): Promise<void> {
    agreed = await shared.askForHashes(digest, plan, signal);
    if (!agreed || signal.aborted) return;
    story.note('holders of the whole agree on its pieces: what is theirs can be read as it comes');
    draft.trust(Array.from({ length: plan.count }, (_, piece) => piece).filter(isAgreed));
  }

  if (plan.size >= ASKED_BYTES_MIN)
    ask().catch((error: unknown) => end(error instanceof Error ? error : new Error(String(error))));

  return {
    kept(piece) {
      if (isAgreed(piece)) draft.trust([piece]);
    },
    waitsFor(piece) {
      if (isTold || !draft.has(piece)) return;
      isTold = true;
      story.note('its reader is held: what rests on the word of one member is not given out until the whole is proven');
    },
  };
}
