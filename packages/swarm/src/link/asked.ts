import { type FrameHead, keyOf } from './frame.ts';
import { LinkFailure } from './reason.ts';
import { ATTESTATION_BYTES, type PiecePart, type Want } from './types.ts';

/** Wants that one side may have open on one link. */
export const WANTS_MAX = 64;

/**
 * The pieces this side asked for. Each want ends once: with the whole piece, or told that it is busy or gone, which is
 * also the answer to calling it off. Whatever else comes throws `unasked`.
 */
export interface Asked {
  add(want: Want): boolean;
  /** False when there is nothing to call off. */
  callOff(channel: number, piece: number): boolean;
  callOffAll(channel: number): void;
  isInUse(channel: number): boolean;
  /** Takes the head of a chunk. */
  chunk(head: FrameHead, attestation: Buffer | undefined): void;
  /** Takes bytes of that chunk. Undefined when they are not wanted any more. */
  bytes(bytes: Buffer): PiecePart | undefined;
  /** Takes the news that a piece does not come. False when it is not wanted any more. */
  refused(channel: number, piece: number): boolean;
}

interface Open {
  readonly want: Want;
  arrivedBytes: number;
  attestation: Buffer;
  isOff: boolean;
}

const NO_ATTESTATION = Buffer.alloc(ATTESTATION_BYTES);

export function openAsked(): Asked {
  const open = new Map<number, Open>();
  let current: Open | undefined;

  return {
    add(want) {
      const key = keyOf(want.channel, want.piece);
      if (open.size >= WANTS_MAX || open.has(key)) return false;
      open.set(key, { want, arrivedBytes: 0, attestation: NO_ATTESTATION, isOff: false });
      return true;
    },
    callOff(channel, piece) {
      const found = open.get(keyOf(channel, piece));
      if (found === undefined || found.isOff) return false;
      found.isOff = true;
      return true;
    },
    callOffAll(channel) {
      for (const each of open.values()) if (each.want.channel === channel) each.isOff = true;
    },
    isInUse: (channel) => open.values().some(({ want }) => want.channel === channel),
    chunk({ channel, piece, offset, length }, attestation) {
      const found = open.get(keyOf(channel, piece));
      if (found === undefined) throw new LinkFailure('unasked', 'sent a piece that nobody asked for');
      const chunkBytes = length - (attestation?.length ?? 0);
      if (offset !== found.arrivedBytes || offset + chunkBytes > found.want.length)
        throw new LinkFailure('unasked', 'sent another part of a piece than was due');
      if (attestation) found.attestation = attestation;
      current = found;
    },
    bytes(bytes) {
      if (current === undefined) throw new Error('bytes of no chunk');
      const { want, arrivedBytes: offset, attestation, isOff } = current;
      const { channel, piece, length } = want;
      current.arrivedBytes += bytes.length;
      const isLast = current.arrivedBytes === length;
      if (isLast) open.delete(keyOf(channel, piece));
      return isOff ? undefined : { channel, piece, offset, bytes, attestation, isLast };
    },
    refused(channel, piece) {
      const key = keyOf(channel, piece);
      const found = open.get(key);
      if (found === undefined) throw new LinkFailure('unasked', 'refused a piece that nobody asked for');
      open.delete(key);
      return !found.isOff;
    },
  };
}
