import { usualWhenLate } from './answers.ts';
import { addPiece, firstAbsent, hasPiece } from './bitmap.ts';
import { askAround, learnPace, loseFrom, noteRefusal, takeOffer, watchTransfers } from './download.ts';
import { changeHomes, homeOf, keepHome, nextHome, noteAnswer, noteGain } from './home-contact.ts';
import { addLink, dropIdle, noteHave, openLinks, removeLink, tell, tellLater } from './links.ts';
import { decide, isComplete, isSuspect, type Link, type Member, passTick } from './member-state.ts';
import {
  endLease,
  fetchNext,
  goOnAlone,
  hasProgress,
  leaveQueue,
  losePatience,
  noteOriginFailure,
  noteOriginRefusal,
  takeFromQueue,
  takeLease,
  watchOrigin,
} from './origin-run.ts';
import { findTransfer } from './transfers.ts';
import { beginParole, dropLies, endParole, judgePiece, judgeSuspect, keepPiece, tryNextSuspect } from './trust.ts';
import { answerRequest, endUpload, expireOffers, noteDecline, noteInFlight, offerSlots } from './upload.ts';
import type { MemberDecision, MemberEvent, MemberId } from './words.ts';

/** Takes in one event and says what is to be done. `now` in ms, never less than before. */
export function stepMember(member: Member, now: number, event: MemberEvent): readonly MemberDecision[] {
  member.now = now;
  if ('link' in event) stepLink(member, event);
  else if ('home' in event) stepHome(member, event);
  else stepOwn(member, event);
  const { decisions } = member;
  member.decisions = [];
  return decisions;
}

function stepLink(member: Member, event: Extract<MemberEvent, { link: MemberId }>): void {
  if (event.kind === 'linked') {
    addLink(member, event.link, event.hello);
    return;
  }
  if (event.kind === 'unlinked') member.linking.delete(event.link);
  const link = member.links.get(event.link);
  // What was on its way when the link closed.
  if (!link) return;
  switch (event.kind) {
    case 'unlinked':
      removeLink(member, link);
      openLinks(member, 0);
      break;
    case 'have':
      noteInFlight(member, link, event.inFlight);
      noteHave(member, link, event.pieces);
      break;
    case 'lost':
      loseFrom(member, link, event.pieces);
      break;
    case 'offered':
      takeOffer(member, link, event.insists);
      break;
    case 'declined':
      noteDecline(member, link, event.inFlight);
      break;
    case 'asked':
      noteInFlight(member, link, event.inFlight);
      answerRequest(member, link, event.piece);
      break;
    case 'sent':
      endUpload(member, link, event.piece, event.isWhole);
      break;
    default:
      stepTransfer(member, link, event);
  }
}

type TransferEvent = Extract<MemberEvent, { kind: 'heard' | 'arrived' | 'refused' }>;

function stepTransfer(member: Member, link: Link, event: TransferEvent): void {
  const transfer = findTransfer(member, link, event.piece);
  // Given up in the meantime.
  if (!transfer) return;
  if (event.kind === 'heard') {
    transfer.heardAt = member.now;
    member.heardAt = member.now;
  } else if (event.kind === 'refused') noteRefusal(member, transfer, event.why);
  else if (judgePiece(member, transfer, event)) learnPace(member, transfer);
}

function stepHome(member: Member, event: Extract<MemberEvent, { home: MemberId }>): void {
  const { home } = event;
  // A home that was passed over has no say any more.
  if (home !== homeOf(member)) return;
  switch (event.kind) {
    case 'answered':
      noteAnswer(member, event.answer);
      break;
    case 'leased':
      takeLease(member, home, event.run);
      break;
    case 'questioned':
      decide(member, { kind: 'answer', home, hasProgress: hasProgress(member) });
      break;
    case 'withdrawn':
      endLease(member);
      break;
    case 'home lost':
      nextHome(member);
      break;
  }
}

function stepOwn(member: Member, event: Exclude<MemberEvent, { link: MemberId } | { home: MemberId }>): void {
  switch (event.kind) {
    case 'tick':
      member.home.answerMs = usualWhenLate(member.home.answerMs, event.lateMs ?? 0);
      tick(member);
      break;
    case 'reading':
      member.reader = event.piece;
      moveHead(member);
      break;
    case 'kept':
      noteKept(member, event.piece);
      break;
    case 'homes':
      changeHomes(member, event.homes);
      break;
    case 'origin heard':
      member.origin.heardAt = member.now;
      member.heardAt = member.now;
      break;
    case 'origin arrived':
      noteOriginPiece(member, event.piece, event.hash);
      break;
    case 'origin failed':
      noteOriginFailure(member);
      break;
    case 'origin refused':
      noteOriginRefusal(member, homeOf(member));
      break;
    case 'proven':
      member.isSealed = true;
      endParole(member);
      dropIdle(member);
      break;
    case 'disproven':
      beginParole(member);
      break;
  }
}

function tick(member: Member): void {
  const { now, home } = member;
  if (now >= member.tellAt) tell(member);
  // Before the home is told, so that it hears who lied and what that has cost at once.
  if (now >= member.tickAt && !isComplete(member)) dropLies(member);
  if (home.askedAt !== undefined || now >= member.tickAt) keepHome(member);
  if (now < member.tickAt) return;
  passTick(member);
  expireOffers(member);
  offerSlots(member);
  if (isComplete(member)) {
    if (member.parole.isOpen) tryNextSuspect(member);
    return;
  }
  watchTransfers(member);
  watchOrigin(member);
  openLinks(member, 0);
  if (member.parole.wasOpen || member.standing.doubters.size > 0) tryNextSuspect(member);
  fetchNext(member);
  askAround(member);
  losePatience(member);
}

function noteOriginPiece(member: Member, piece: number, hash: string): void {
  const home = homeOf(member);
  const isWanted = takeFromQueue(member, piece);
  const isTest = member.parole.suspect === piece || (isWanted && isSuspect(member, piece));
  const isNew = isWanted && !isTest && member.hashes[piece] === undefined;
  if (isTest) judgeSuspect(member, piece, hash);
  if (isNew) {
    noteGain(member);
    keepPiece(member, piece, { hash, author: member.self });
  }
  if (isWanted && (isTest || isNew) && home !== undefined) decide(member, { kind: 'landed', home, piece });
  fetchNext(member);
  goOnAlone(member);
}

function noteKept(member: Member, piece: number): void {
  if (hasPiece(member.held, piece) || member.hashes[piece] === undefined) return;
  const home = homeOf(member);
  if (leaveQueue(member, piece) && home !== undefined) decide(member, { kind: 'landed', home, piece });
  addPiece(member.held, piece);
  member.heldCount++;
  noteGain(member);
  moveHead(member);
  tellLater(member, piece);
  if (isComplete(member)) decide(member, { kind: 'seal' });
}

function moveHead(member: Member): void {
  const head = firstAbsent(member.held, member.reader, member.plan.count);
  if (head === member.head) return;
  member.head = head;
  member.headAt = member.now;
}
