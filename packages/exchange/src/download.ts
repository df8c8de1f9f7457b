import { patientMs } from './answers.ts';
import { hasPiece, listPieces, removePiece } from './bitmap.ts';
import { noteGain } from './home-contact.ts';
import {
  BUSY_HOPELESS_MS,
  BUSY_MS,
  FIRST_BYTE_MS,
  HEDGES_MAX,
  HOPELESS_FACTOR,
  HOPELESS_MS,
  IN_FLIGHT_MAX,
  LAST_PIECES,
  LATE_AT_THE_END_FACTOR,
  LATE_FACTOR,
  LATE_MS,
  MISSES_MAX,
  MISSES_OF_ONLY_MAX,
  READER_WAIT_MS,
  STALL_MS,
  STALLED_MS,
  TICK_MS,
} from './limits.ts';
import { forgetPieceOf, leaveAlone } from './links.ts';
import { decide, inFlight, type Link, type Member, type Transfer } from './member-state.ts';
import { pickPiece } from './picker.ts';
import { forgive, noteMiss } from './standing.ts';
import { cancel, endTransfer, findTransfer } from './transfers.ts';
import { ownRoom } from './upload.ts';

/** Pieces that usually take long come in fits: half of that time stands beside the time of an answer. */
const STALL_SHARE = 0.5;

/** Makes use of a slot that a link offers, or says that there is no use for it. */
export function takeOffer(member: Member, link: Link, insists: boolean): void {
  link.busyUntil = 0;
  const most = insists ? IN_FLIGHT_MAX : ownRoom(member);
  const piece = inFlight(member) < most ? pickPiece(member, link) : undefined;
  if (piece === undefined) decide(member, { kind: 'decline', to: link.member, inFlight: inFlight(member) });
  else request(member, link, piece);
}

function request(member: Member, link: Link, piece: number): void {
  const { now } = member;
  member.uplink.coming++;
  member.transfers.push({ link, piece, askedAt: now, heardAt: now });
  removePiece(member.open, piece);
  decide(member, { kind: 'request', from: link.member, piece, inFlight: inFlight(member) });
}

export function noteRefusal(member: Member, transfer: Transfer, why: 'busy' | 'gone'): void {
  const { link, piece } = transfer;
  endTransfer(member, transfer);
  if (why === 'busy') {
    noteBusy(member, link);
    return;
  }
  forgetPieceOf(member, link, piece);
  missed(member, link);
}

/** No offence, but what it alone claims to have would keep us, and others, from the origin for ever. */
function noteBusy(member: Member, link: Link): void {
  link.busyUntil = member.now + BUSY_MS;
  link.busySince ??= member.now;
  if (member.now - link.busySince < Math.max(BUSY_HOPELESS_MS, HOPELESS_FACTOR * member.usualMs)) return;
  for (const piece of listPieces(link.held)) forgetPieceOf(member, link, piece);
}

/** The link takes pieces back. Those on their way count as one miss: whoever drops them had them from a liar, mostly. */
export function loseFrom(member: Member, link: Link, pieces: readonly number[]): void {
  const { transfers } = member;
  const coming = transfers.filter((transfer) => transfer.link === link && pieces.includes(transfer.piece));
  for (const piece of pieces) forgetPieceOf(member, link, piece);
  for (const transfer of coming) cancel(member, transfer);
  const [first] = coming;
  if (first) missed(member, link);
}

/** The link claimed a piece, and did not deliver. */
function missed(member: Member, link: Link): void {
  const most = isOnlySource(member, link) ? MISSES_OF_ONLY_MAX : MISSES_MAX;
  if (noteMiss(member.standing, link.member, member.now, most)) leaveAlone(member, link);
}

function isOnlySource({ open, rarity, plan }: Member, { held }: Link): boolean {
  for (let piece = 0; piece < plan.count; piece++)
    if (rarity[piece] === 1 && hasPiece(held, piece) && hasPiece(open, piece)) return true;
  return false;
}

/** How long the piece took is how long others should. */
export function learnPace(member: Member, transfer: Transfer): void {
  const took = member.now - transfer.askedAt;
  member.usualMs = member.usualMs === 0 ? took : 0.9 * member.usualMs + 0.1 * took;
  noteGain(member);
  transfer.link.busySince = undefined;
  member.origin.isImpatient = false;
  forgive(member.standing, transfer.link.member);
}

/** Gives up transfers that have stalled, and asks for late ones elsewhere. */
export function watchTransfers(member: Member): void {
  const { now, transfers } = member;
  for (const transfer of [...transfers]) {
    // An earlier one may have taken its link with it.
    if (!transfers.includes(transfer)) continue;
    const leastMs = transfer.heardAt === transfer.askedAt ? FIRST_BYTE_MS : STALL_MS;
    const patienceMs = patientMs(leastMs, Math.max(member.home.answerMs, STALL_SHARE * member.usualMs));
    if (now - transfer.heardAt > patienceMs || isHopeless(member, transfer)) giveUp(member, transfer);
    else if (isLate(member, transfer)) hedge(member, transfer);
  }
}

function giveUp(member: Member, transfer: Transfer): void {
  const { link } = transfer;
  cancel(member, transfer);
  link.busyUntil = Math.max(link.busyUntil, member.now + STALLED_MS);
  missed(member, link);
}

/** Worth asking elsewhere: for the last few pieces sooner than usual. */
function isLate(member: Member, transfer: Transfer): boolean {
  const isAtEnd = member.plan.count - member.heldCount <= LAST_PIECES;
  if (!isAtEnd) return isOverdue(member, transfer);
  return member.now - transfer.askedAt > Math.max(TICK_MS, LATE_AT_THE_END_FACTOR * member.usualMs);
}

/** So late that the link is to blame. */
function isOverdue(member: Member, { askedAt }: Transfer): boolean {
  return member.now - askedAt > Math.max(LATE_MS, LATE_FACTOR * member.usualMs);
}

/** Bytes do come, but so few that the piece is better looked for elsewhere. */
function isHopeless(member: Member, { askedAt }: Transfer): boolean {
  return member.now - askedAt > Math.max(HOPELESS_MS, HOPELESS_FACTOR * member.usualMs);
}

/** Asks for the piece a second time. When that is late as well, the older of the two makes room. */
function hedge(member: Member, transfer: Transfer): void {
  const { piece } = transfer;
  const [older, newer] = member.transfers.filter((one) => one.piece === piece);
  if (newer && older === transfer && isOverdue(member, newer)) giveUp(member, transfer);
  else if (newer || countHedges(member) >= HEDGES_MAX) return;
  const link = freeLink(member, piece);
  if (link) request(member, link, piece);
}

function countHedges({ transfers }: Member): number {
  return transfers.length - new Set(transfers.map(({ piece }) => piece)).size;
}

/** The piece came another way. Those that were overdue with it have failed us. */
export function settleRace(member: Member, piece: number): void {
  for (const other of member.transfers.filter((transfer) => transfer.piece === piece)) {
    if (isOverdue(member, other)) giveUp(member, other);
    else cancel(member, other);
  }
}

/** A link that has the piece, has not said it is busy, and does not send us this piece already: a near one first. */
function freeLink(member: Member, piece: number): Link | undefined {
  let best: Link | undefined;
  let ties = 0;
  for (const link of member.links.values()) {
    if (link.isLiar || !hasPiece(link.held, piece) || member.now < link.busyUntil) continue;
    if (best?.isNear && !link.isNear) continue;
    if (findTransfer(member, link, piece)) continue;
    ties = best && best.isNear === link.isNear ? ties + 1 : 1;
    if (member.random() * ties < 1) best = link;
  }
  return best;
}

/** Asks for what is wanted most without waiting for an offer: what the reader waits for, or anything when nothing comes. */
export function askAround(member: Member): void {
  const { open, head, now, headAt, links } = member;
  if (now - headAt > READER_WAIT_MS && hasPiece(open, head) && inFlight(member) < IN_FLIGHT_MAX) {
    const link = freeLink(member, head);
    if (link) request(member, link, head);
  }
  if (member.transfers.length > 0) return;
  for (const link of links.values()) {
    if (inFlight(member) >= ownRoom(member)) return;
    const piece = now < link.busyUntil ? undefined : pickPiece(member, link);
    if (piece !== undefined) request(member, link, piece);
  }
}
