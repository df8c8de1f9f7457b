import { addPiece, emptyBitmap, hasPiece, listPieces, removePiece } from './bitmap.ts';
import { HAVE_EVERY_MS, LINKS_MAX, LINKS_OPENED_FIRST, LINKS_WANTED } from './limits.ts';
import { decide, inFlight, isComplete, type Link, type Member } from './member-state.ts';
import { isLiar, isQuarantined } from './standing.ts';
import { cancel, endTransfer } from './transfers.ts';
import { countSlots, endUploads, offerSlots, ownSlots } from './upload.ts';
import type { Hello, MemberId } from './words.ts';

/** A link is open. Refused when there are enough, or when the other side is in quarantine for anything but a lie. */
export function addLink(member: Member, other: MemberId, hello: Hello): void {
  member.linking.delete(other);
  const { held, zone } = hello;
  // Both sides opened one at the same time: it is one link.
  if (member.links.has(other)) return;
  const isOfLiar = isLiar(member.standing, other, member.now);
  if (member.links.size >= LINKS_MAX && !isOfLiar) dropLiar(member);
  const isRefused = !isOfLiar && isQuarantined(member.standing, other, member.now);
  if (isRefused || member.links.size >= LINKS_MAX) {
    decide(member, { kind: 'unlink', link: other, why: isRefused ? 'quarantine' : 'full' });
    return;
  }
  const link: Link = {
    member: other,
    isNear: zone === member.zone || zone === undefined || member.zone === undefined,
    isLiar: isOfLiar,
    held: emptyBitmap(member.plan.count),
    heldCount: 0,
    inFlight: 0,
    // Those never served come first, in an order that differs from member to member.
    servedAt: -member.random(),
    offeredAt: undefined,
    declined: 'nothing',
    isInsisted: false,
    busyUntil: 0,
    busySince: undefined,
  };
  member.links.set(other, link);
  for (let piece = 0; piece < member.plan.count; piece++) {
    if (!hasPiece(held, piece)) continue;
    addPiece(link.held, piece);
    count(member, link, piece, 1);
  }
  countSlots(member);
  if (isIdle(member, link)) removeIdle(member, link);
  else offerSlots(member);
}

/** Makes room for somebody better. */
function dropLiar(member: Member): void {
  const liar = member.links.values().find(({ isLiar }) => isLiar);
  if (!liar) return;
  removeLink(member, liar);
  decide(member, { kind: 'unlink', link: liar.member, why: 'full' });
}

/** The link's own count, and how rare the piece is. */
function count(member: Member, link: Link, piece: number, change: 1 | -1): void {
  link.heldCount += change;
  if (!link.isLiar) countSource(member, link, piece, change);
}

function countSource(member: Member, link: Link, piece: number, change: 1 | -1): void {
  member.rarity[piece] = (member.rarity[piece] ?? 0) + change;
  if (link.isNear) member.nearRarity[piece] = (member.nearRarity[piece] ?? 0) + change;
}

export function removeLink(member: Member, link: Link): void {
  member.links.delete(link.member);
  for (let piece = 0; piece < member.plan.count; piece++) {
    if (hasPiece(link.held, piece)) count(member, link, piece, -1);
  }
  for (const transfer of member.transfers.filter((one) => one.link === link)) endTransfer(member, transfer);
  endUploads(member, link);
  countSlots(member);
  offerSlots(member);
}

/** The link has pieces it did not have before. */
export function noteHave(member: Member, link: Link, pieces: readonly number[]): void {
  for (const piece of pieces) {
    if (!(piece >= 0 && piece < member.plan.count) || hasPiece(link.held, piece)) continue;
    addPiece(link.held, piece);
    count(member, link, piece, 1);
  }
  link.declined = 'nothing';
  if (isIdle(member, link)) removeIdle(member, link);
  else if (member.uploading + member.offers < ownSlots(member)) offerSlots(member);
}

/** The link turned out not to have the piece, or not to have it right. */
export function forgetPieceOf(member: Member, link: Link, piece: number): void {
  if (!hasPiece(link.held, piece)) return;
  removePiece(link.held, piece);
  count(member, link, piece, -1);
}

/** The other side has it all, and we do as well, or take nothing from it. */
function isIdle(member: Member, link: Link): boolean {
  return (member.isSealed || link.isLiar) && link.heldCount === member.plan.count;
}

function removeIdle(member: Member, link: Link): void {
  removeLink(member, link);
  decide(member, { kind: 'unlink', link: link.member, why: 'done' });
}

/**
 * Takes nothing from a member that lied any more. What nobody else wants it is given all the same: it may be a host with
 * a bad disk, and without us it would take the whole blob from the origin.
 */
export function giveOnly(member: Member, link: Link): void {
  if (link.isLiar) return;
  for (const transfer of member.transfers.filter((one) => one.link === link)) cancel(member, transfer);
  for (const piece of listPieces(link.held)) countSource(member, link, piece, -1);
  link.isLiar = true;
  if (isIdle(member, link)) removeIdle(member, link);
  else openLinks(member, 0);
}

/** Takes a member that disappointed out of the links. */
export function leaveAlone(member: Member, link: Link): void {
  const until = member.standing.quarantinedUntil.get(link.member) ?? member.now;
  decide(member, { kind: 'quarantine', member: link.member, ms: until - member.now, why: 'misses' });
  if (!member.links.has(link.member)) return;
  removeLink(member, link);
  decide(member, { kind: 'unlink', link: link.member, why: 'quarantine' });
}

/** News for the links: goes out with what else there is in a moment, or at once while our uplink idles for want of it. */
export function tellLater(member: Member, piece: number): void {
  member.untold.push(piece);
  const isIdle = 2 * member.uplink.sending < member.slots;
  member.tellAt = Math.min(member.tellAt, member.now + (isIdle ? HAVE_EVERY_MS / 4 : HAVE_EVERY_MS));
}

/** Tells the links what is new, and offers it. */
export function tell(member: Member): void {
  const pieces = member.untold.filter((piece) => hasPiece(member.held, piece));
  member.untold = [];
  member.tellAt = Number.POSITIVE_INFINITY;
  const to: MemberId[] = [];
  for (const link of member.links.values()) {
    link.declined = 'nothing';
    if (link.heldCount < member.plan.count) to.push(link.member);
  }
  for (const piece of pieces) addPiece(member.told, piece);
  if (to.length > 0) decide(member, { kind: 'have', to, pieces, inFlight: inFlight(member) });
  offerSlots(member);
}

/** Drops links that are of no more use to either side. */
export function dropIdle(member: Member): void {
  for (const link of [...member.links.values()]) if (isIdle(member, link)) removeIdle(member, link);
}

/** Links to more of the members we know of, while we have too few or want so many more. */
export function openLinks(member: Member, more: number): void {
  if (isComplete(member)) return;
  const usual = member.heldCount === 0 ? LINKS_OPENED_FIRST : LINKS_WANTED;
  const wanted = Math.min(LINKS_MAX, Math.max(usual, more > 0 ? countSources(member) + more : 0));
  while (countSources(member) + member.linking.size < wanted) {
    const other = member.candidates.pop();
    if (other === undefined) return;
    if (other === member.self || member.links.has(other) || member.linking.has(other)) continue;
    if (isQuarantined(member.standing, other, member.now)) continue;
    member.linking.add(other);
    decide(member, { kind: 'link', to: other });
  }
}

/** Links that something may be taken from. */
export function countSources({ links }: Member): number {
  let count = 0;
  for (const { isLiar } of links.values()) if (!isLiar) count++;
  return count;
}
