import { addPiece, firstAbsent, hasPiece, removePiece } from './bitmap.ts';
import { settleRace } from './download.ts';
import { LIE_QUARANTINE_MS } from './limits.ts';
import { forgetPieceOf, giveOnly } from './links.ts';
import { decide, isComplete, isSuspect, type Link, type Member, NOBODY, type Transfer } from './member-state.ts';
import { acquit, beginLook, convict, DOUBT_OF_ONE, doubtOf, endLook, isLiar } from './standing.ts';
import { endTransfer } from './transfers.ts';
import type { Attestation, MemberId } from './words.ts';

/** Keeps a piece that is what its attestation says. A piece unlike its attestation convicts the one who sent both. */
export function judgePiece(
  member: Member,
  transfer: Transfer,
  { hash, attestation }: { readonly hash: string; readonly attestation: Attestation | undefined },
): boolean {
  const { link, piece } = transfer;
  endTransfer(member, transfer);
  // Who was only slow may have been right: a piece it stands for comes from others as well.
  if (!attestation || isLiar(member.standing, attestation.author, member.now)) {
    forgetPieceOf(member, link, piece);
    return false;
  }
  if (attestation.hash !== hash) {
    condemn(member, link.member, link);
    return false;
  }
  keepPiece(member, piece, attestation);
  return true;
}

/** Has the piece written, and remembers who stands for it. */
export function keepPiece(member: Member, piece: number, { hash, author }: Attestation): void {
  member.hashes[piece] = hash;
  member.authors[piece] = author;
  removePiece(member.open, piece);
  settleRace(member, piece);
  decide(member, { kind: 'keep', piece });
}

/** A proven lie. */
function condemn(member: Member, liar: MemberId, link: Link | undefined): void {
  convict(member.standing, liar, member.now);
  decide(member, { kind: 'quarantine', member: liar, ms: LIE_QUARANTINE_MS, why: 'lie' });
  if (link) giveOnly(member, link);
}

/** The pieces are all here and are not the blob: every one that came on another's word is suspect. */
export function beginParole(member: Member): void {
  // What was dropped meanwhile comes first, and the digest is asked again.
  if (!isComplete(member)) return;
  member.parole.isOpen = true;
  member.parole.wasOpen = true;
  tryNextSuspect(member);
}

/** Drops what rests on the word of those who were caught meanwhile, with whatever blob. Whether there was any. */
export function dropLies(member: Member): boolean {
  const { standing, authors, now, plan, parole } = member;
  if (member.liesSeen === standing.lies) return false;
  member.liesSeen = standing.lies;
  for (const link of [...member.links.values()]) if (isLiar(standing, link.member, now)) giveOnly(member, link);
  const wrong: number[] = [];
  for (let piece = 0; piece < plan.count; piece++)
    if (isLiar(standing, authors[piece] ?? NOBODY, now)) wrong.push(piece);
  if (wrong.length === 0) return false;
  parole.isOpen = false;
  if (parole.suspect !== undefined && wrong.includes(parole.suspect)) stopLooking(member);
  dropPieces(member, wrong);
  return true;
}

/**
 * Fetches one suspect from the origin. While the digest stands failed each piece is one; before it is asked again, those
 * of authors whom others caught, so that one failure is enough for several liars.
 */
export function tryNextSuspect(member: Member): void {
  if (dropLies(member)) return;
  const { parole, origin, standing, authors, now } = member;
  const start = parole.suspect ?? worstSuspect(member);
  if (parole.isOpen && (start === undefined || origin.isRefused)) {
    endParole(member);
    decide(member, { kind: 'fail', why: 'corrupt' });
    return;
  }
  if (start === undefined || origin.isRefused || origin.isFetching || now < origin.retryAt) return;
  // One piece is enough, of whatever blob.
  const author = authors[start] ?? NOBODY;
  if (parole.suspect === undefined && author !== NOBODY && !beginLook(standing, author, now)) return;
  parole.suspect = start;
  origin.isFetching = true;
  origin.heardAt = now;
  origin.lastOfRun = start;
  decide(member, { kind: 'fetch', run: { start, end: start + 1 } });
}

/**
 * Of the author of whom the fewest were found right so far, and of those whom the most doubt. Ties at random: members
 * that look at different pieces find a liar sooner, and what each of them fetches others lack.
 */
function worstSuspect(member: Member): number | undefined {
  const { parole, standing, authors, plan, random, now } = member;
  let worst: number | undefined;
  let least = parole.isOpen ? Number.POSITIVE_INFINITY : -DOUBT_OF_ONE;
  let ties = 0;
  for (let piece = 0; piece < plan.count; piece++) {
    if (!isSuspect(member, piece)) continue;
    const author = authors[piece] ?? NOBODY;
    const credit = (standing.acquitted.get(author) ?? 0) - doubtOf(standing, author, now);
    if (credit > least) continue;
    ties = credit < least ? 1 : ties + 1;
    least = credit;
    if (random() * ties < 1) worst = piece;
  }
  return worst;
}

function stopLooking(member: Member): void {
  member.parole.suspect = undefined;
  member.origin.isFetching = false;
  decide(member, { kind: 'stop fetch' });
}

export function endParole({ parole }: Member): void {
  parole.isOpen = false;
  parole.suspect = undefined;
}

/** The origin's word on a suspect. An attestation unlike it convicts its author, and all else that author stands for. */
export function judgeSuspect(member: Member, piece: number, hash: string): void {
  const { parole, standing, authors, hashes, self, links } = member;
  const author = authors[piece] ?? NOBODY;
  parole.suspect = undefined;
  endLook(standing, author);
  if (author !== NOBODY && hashes[piece] === hash) {
    authors[piece] = self;
    acquit(member.standing, author);
    if (parole.isOpen) tryNextSuspect(member);
    return;
  }
  // The digest is being asked, and will say no.
  if (isComplete(member) && !parole.isOpen) return;
  // A piece of an earlier life has no hash to compare: it is replaced, and the digest says whether it was the one.
  const wrong = author === NOBODY ? [piece] : piecesOf(member, author);
  dropPieces(member, wrong);
  keepPiece(member, piece, { hash, author: self });
  if (author === NOBODY) {
    if (worstSuspect(member) === undefined) endParole(member);
    return;
  }
  endParole(member);
  condemn(member, author, links.get(author));
}

function piecesOf(member: Member, author: MemberId): number[] {
  const pieces: number[] = [];
  for (let piece = 0; piece < member.plan.count; piece++) if (member.authors[piece] === author) pieces.push(piece);
  return pieces;
}

function dropPieces(member: Member, pieces: readonly number[]): void {
  const { held, told, open, hashes, authors, plan } = member;
  const untold = pieces.filter((piece) => hasPiece(told, piece));
  for (const piece of pieces) {
    if (hasPiece(held, piece)) member.heldCount--;
    removePiece(held, piece);
    removePiece(told, piece);
    addPiece(open, piece);
    hashes[piece] = undefined;
    authors[piece] = NOBODY;
  }
  member.head = firstAbsent(held, member.reader, plan.count);
  member.headAt = member.now;
  decide(member, { kind: 'drop', pieces });
  const to = [...member.links.keys()];
  if (untold.length > 0 && to.length > 0) decide(member, { kind: 'lost', to, pieces: untold });
}
