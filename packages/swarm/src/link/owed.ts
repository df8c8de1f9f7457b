import { WANTS_MAX } from './asked.ts';
import { keyOf, PIECES_MAX } from './frame.ts';
import { LinkFailure } from './reason.ts';

/** The channels the other side opened, and the pieces it wants on them. Throws where it says what makes no sense. */
export interface Owed {
  open(channel: number): void;
  /** The pieces that were wanted on the channel. */
  close(channel: number): readonly number[];
  /** Throws when the channel is not open. */
  check(channel: number): void;
  want(channel: number, piece: number): void;
  /** Begins to answer a want by sending the piece. False when it is not wanted, or no longer. */
  begin(channel: number, piece: number): boolean;
  /** Ends a want. False when there is none. */
  settle(channel: number, piece: number): boolean;
}

export function openOwed(): Owed {
  const channels = new Set<number>();
  const wants = new Map<number, 'waiting' | 'sending'>();

  function check(channel: number): void {
    if (!channels.has(channel)) throw new LinkFailure('malformed', 'spoke of a channel that is not open');
  }

  return {
    check,
    open(channel) {
      if (channels.has(channel)) throw new LinkFailure('malformed', 'opened a channel that is open');
      channels.add(channel);
    },
    close(channel) {
      check(channel);
      channels.delete(channel);
      return [...wants.keys()].filter((key) => Math.floor(key / PIECES_MAX) === channel).map((key) => key % PIECES_MAX);
    },
    want(channel, piece) {
      check(channel);
      const key = keyOf(channel, piece);
      if (wants.has(key)) throw new LinkFailure('malformed', 'asked for a piece that it waits for');
      if (wants.size >= WANTS_MAX) throw new LinkFailure('excess', 'asked for too many pieces at once');
      wants.set(key, 'waiting');
    },
    begin(channel, piece) {
      const key = keyOf(channel, piece);
      if (wants.get(key) !== 'waiting') return false;
      wants.set(key, 'sending');
      return true;
    },
    settle: (channel, piece) => wants.delete(keyOf(channel, piece)),
  };
}
