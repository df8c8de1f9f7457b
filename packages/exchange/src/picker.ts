import { hasPiece, lowestBit } from './bitmap.ts';
import { ANYWHERE_SHARE, IN_FLIGHT_USUAL, READER_WAIT_MS } from './limits.ts';
import type { Link, Member } from './member-state.ts';

/**
 * The piece to ask of a link: the rarest in the window ahead of the reader, else the rarest of all, ties at random; now
 * and then the rarest of all comes first. Undefined when the link has nothing that we still have to ask for.
 */
export function pickPiece(member: Member, link: Link): number | undefined {
  const { plan, open, head, now, headAt } = member;
  if (link.isLiar) return undefined;
  if (now - headAt > READER_WAIT_MS && hasPiece(open, head) && hasPiece(link.held, head)) return head;
  if (!link.isNear) {
    // What a nearer link has is left to it, unless we have next to nothing to do.
    const only = rarest(member, link, { from: 0, to: plan.count, isFarOnly: true });
    if (only !== undefined || 2 * member.transfers.length >= IN_FLIGHT_USUAL) return only;
  }
  // With nobody else to exchange with, order costs nothing, and reading and proving go along with it.
  if (member.links.size === 1) return firstOf(member, link);
  const anywhere: Choice = { from: 0, to: plan.count, isFarOnly: false };
  // Pieces beyond every window would be lost with the one member that fetched them.
  if (member.random() < ANYWHERE_SHARE) return rarest(member, link, anywhere);
  const window: Choice = { from: head, to: Math.min(head + (plan.count >>> 1), plan.count), isFarOnly: false };
  return rarest(member, link, window) ?? rarest(member, link, anywhere);
}

function firstOf({ open, head, plan }: Member, { held }: Link): number | undefined {
  for (const [from, to] of [
    [head, plan.count],
    [0, head],
  ] as const) {
    for (let piece = from; piece < to; piece++) if (hasPiece(open, piece) && hasPiece(held, piece)) return piece;
  }
  return undefined;
}

interface Choice {
  readonly from: number;
  readonly to: number;
  /** Leave out what a near link has. */
  readonly isFarOnly: boolean;
}

function rarest(member: Member, link: Link, { from, to, isFarOnly }: Choice): number | undefined {
  const { open, rarity, nearRarity, random } = member;
  let best: number | undefined;
  let least = 256;
  let ties = 0;
  for (let word = from >>> 5; word << 5 < to; word++) {
    let bits = (open[word] ?? 0) & (link.held[word] ?? 0);
    if (word === from >>> 5) bits &= 0xffffffff << (from & 31);
    for (; bits !== 0; bits &= bits - 1) {
      const piece = (word << 5) + lowestBit(bits);
      if (piece >= to) break;
      const count = rarity[piece] ?? 0;
      if (count > least || (isFarOnly && (nearRarity[piece] ?? 0) > 0)) continue;
      ties = count < least ? 1 : ties + 1;
      least = count;
      if (ties === 1 || random() * ties < 1) best = piece;
    }
  }
  return best;
}
