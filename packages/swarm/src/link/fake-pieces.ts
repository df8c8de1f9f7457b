import { createHash } from 'node:crypto';
import { sha256 } from '@drayage/core';
import type { FakeMember } from './fake-member.ts';
import { ATTESTATION_BYTES, type Link, type OpenTerms, type Outgoing, type Wanted } from './types.ts';

export const NO_TERMS: OpenTerms = { zone: undefined };

/** A channel for some blob. */
export function openChannel(link: Link): number {
  const channel = link.open(sha256(Buffer.from('a blob')), NO_TERMS);
  if (channel === undefined) throw new Error('no channel is left');
  return channel;
}

/** Different for each piece, and made up. */
export function attestationOf(bytes: Buffer): Buffer {
  return createHash('shake256', { outputLength: ATTESTATION_BYTES }).update(bytes).digest();
}

/** A piece of these bytes, as the answer to a want. */
export function outgoing({ channel, piece }: Wanted, bytes: Buffer): Outgoing {
  return {
    channel,
    piece,
    length: bytes.length,
    attestation: attestationOf(bytes),
    async read(into, offset) {
      return bytes.copy(into, 0, offset, offset + into.length);
    },
  };
}

/** Answers every want of the other side with a piece of these. */
export function serve({ told }: FakeMember, pieces: readonly Buffer[]): void {
  told.onWant = (wanted, link) => void link.send(outgoing(wanted, pieces[wanted.piece] ?? Buffer.alloc(1)));
}

/** Keeps what arrives, piece by piece, taking its time over each part when it is given one. */
export function gather({ told }: FakeMember, pause?: () => Promise<void>): Map<number, Buffer> {
  const gathered = new Map<number, Buffer>();
  const keep = (piece: number, bytes: Buffer) => {
    gathered.set(piece, Buffer.concat([gathered.get(piece) ?? Buffer.alloc(0), bytes]));
  };
  told.onPart = ({ piece, bytes }) => {
    if (pause) return pause().then(() => keep(piece, bytes));
    keep(piece, bytes);
    return undefined;
  };
  return gathered;
}
