import { type Digest, type PiecePlan, pieceSpan, type Report } from '@drayage/core';
import type { MemberEvent, MemberId } from '@drayage/exchange';
import type { PiecePart } from '../link/types.ts';
import type { Attestations } from './attestation.ts';
import type { Buffers } from './buffers.ts';
import type { Neighbour } from './neighbours.ts';
import { hashPiece } from './piece-hash.ts';
import type { Roll } from './roll.ts';
import type { Telling } from './story.ts';

/** The exchange need not hear of every few kilobytes. */
const HEARD_EVERY_MS = 100;

export interface DownloadsParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly buffers: Buffers;
  readonly attestations: Attestations;
  readonly roll: Roll;
  readonly story: Telling | undefined;
  readonly arrived: (bytes: number) => void;
  readonly report: Report;
  readonly now: () => number;
  readonly step: (event: MemberEvent) => void;
  readonly hand: Hand;
}

/** Whether the exchange keeps a piece: it does so while it is told of it, or not at all. Its buffer is taken over. */
export type Hand = (whole: WholePiece, tell: () => void) => boolean;

/** A piece that came, and who stands for it; nobody else does for one of the origin's. */
export interface WholePiece {
  readonly piece: number;
  readonly bytes: Buffer;
  readonly blockHashes: Buffer;
  readonly attestation: Buffer | undefined;
}

/** Pieces on their way here from other members. */
export interface Downloads {
  request(neighbour: Neighbour, piece: number, inFlight: number): void;
  cancel(neighbour: Neighbour, piece: number): void;
  arrived(neighbour: Neighbour, part: PiecePart): void;
  refused(neighbour: Neighbour, piece: number, why: 'busy' | 'gone'): void;
  /** Nothing comes from this member any more. */
  drop(id: MemberId): void;
  dropAll(): void;
}

interface Arrival {
  readonly id: MemberId;
  readonly piece: number;
  readonly bytes: Buffer;
  arrivedBytes: number;
  heardAt: number;
}

export function takeDownloads(parts: DownloadsParts): Downloads {
  const { plan, buffers, story, step, now } = parts;
  const arrivals = new Map<string, Arrival>();
  const keyOf = (id: MemberId, piece: number) => `${id}/${piece}`;

  /** What came is told once per piece: every sixteen kilobytes would cost more than the news is worth. */
  function take(arrival: Arrival): void {
    arrivals.delete(keyOf(arrival.id, arrival.piece));
    if (arrival.arrivedBytes > 0) parts.arrived(arrival.arrivedBytes);
  }

  function end(arrival: Arrival): void {
    take(arrival);
    buffers.give(arrival.bytes);
  }

  function drop(test: (arrival: Arrival) => boolean): void {
    for (const arrival of [...arrivals.values()]) if (test(arrival)) end(arrival);
  }

  return {
    request({ id, link, own }, piece, inFlight) {
      const { start, end: stop } = pieceSpan(plan, piece);
      const length = stop - start;
      const bytes = buffers.take(length);
      if (bytes && link.want({ channel: own, piece, length, inFlight })) {
        arrivals.set(keyOf(id, piece), { id, piece, bytes, arrivedBytes: 0, heardAt: now() });
        return;
      }
      if (bytes) buffers.give(bytes);
      // Left open, the offer this was to take would keep the other side from offering more.
      link.decline(own, inFlight - 1);
      step({ kind: 'refused', link: id, piece, why: 'busy' });
    },
    cancel(neighbour, piece) {
      const { id, member, link, own } = neighbour;
      const arrival = arrivals.get(keyOf(id, piece));
      if (arrival) end(arrival);
      link.cancel(own, piece);
      if (arrival && story) story.member(member).calledOff++;
    },
    arrived(neighbour, { piece, offset, bytes, attestation, isLast }) {
      const arrival = arrivals.get(keyOf(neighbour.id, piece));
      if (!arrival) return;
      arrival.arrivedBytes += bytes.copy(arrival.bytes, offset);
      if (isLast) {
        take(arrival);
        return judge(parts, neighbour.member, arrival, attestation);
      }
      if (now() - arrival.heardAt < HEARD_EVERY_MS) return;
      arrival.heardAt = now();
      step({ kind: 'heard', link: neighbour.id, piece });
    },
    refused({ id, member }, piece, why) {
      const arrival = arrivals.get(keyOf(id, piece));
      if (!arrival) return;
      end(arrival);
      if (story) story.member(member).refusals[why]++;
      step({ kind: 'refused', link: id, piece, why });
    },
    drop: (id) => drop((arrival) => arrival.id === id),
    dropAll: () => drop(() => true),
  };
}

/** The whole piece is here: who stands for it, and is it what they say? */
function judge(parts: DownloadsParts, member: string, { id, piece, bytes }: Arrival, attestation: Buffer): void {
  const { digest, story, step, report } = parts;
  const { hash, blockHashes } = hashPiece(bytes);
  const said = parts.attestations.check(digest, piece, attestation);
  // An honest member passes on only what it has checked itself: a word nobody gave is a lie of the sender's.
  const word = said ?? { hash: '', author: member };
  const share = story?.member(member);
  if (word.hash !== hash) {
    report({ kind: 'piece_rejected', reason: said ? 'hash' : 'attestation', member, digest });
    if (share) share.rejected++;
  }
  const isKept = parts.hand({ piece, bytes, blockHashes, attestation }, () => {
    const author = parts.roll.idOf(word.author);
    step({ kind: 'arrived', link: id, piece, hash, attestation: { hash: word.hash, author } });
  });
  if (!isKept || !share) return;
  share.pieces++;
  share.bytes += bytes.length;
}
