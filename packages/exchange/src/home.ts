import type { PiecePlan } from '@drayage/core';
import { patientMs, usualWhenLate } from './answers.ts';
import { hasPiece, listPieces } from './bitmap.ts';
import { hearCaught, hearComplaints, noteLapse } from './complaints.ts';
import {
  addGuest,
  chooseFetcher,
  type Guest,
  type Guests,
  isSlow,
  nameMembers,
  newGuests,
  noteAnswer,
  noteUsualUplink,
  removeGuest,
  reportEvery,
} from './guests.ts';
import {
  countUnseen,
  fetchersOf,
  forgetFetcher,
  isLeasedTo,
  type Ledger,
  newLedger,
  noteClaim,
  noteHeld,
  noteLanded,
  noteLeased,
  noteWithdrawn,
  releaseDoubtful,
  releaseLeased,
  takeRun,
} from './ledger.ts';
import {
  GUEST_SILENT_MS,
  HOPELESS_FACTOR,
  HOPELESS_MS,
  LEASE_EXTEND_PIECES,
  LEASE_QUIET_MS,
  LEASES_MAX,
  SUCCESSION_MS,
  TICK_MS,
  UNSEEN_PIECES_MAX,
} from './limits.ts';
import type { HomeDecision, HomeEvent, MemberId, MemberReport, Run } from './words.ts';

/** The home's side of one blob. Soft: all of it can be rebuilt from what members report. */
export interface Home {
  readonly plan: PiecePlan;
  readonly random: () => number;
  readonly guests: Guests;
  readonly ledger: Ledger;
  readonly holders: Set<Guest>;
  /** How long a piece usually takes from the origin; 0 when unknown. */
  usualMs: number;
  /** No lease is given before this. */
  quietUntil: number;
  tickAt: number;
  decisions: HomeDecision[];
}

export interface HomeParts {
  readonly plan: PiecePlan;
  readonly random: () => number;
}

export function newHome({ plan, random }: HomeParts, now: number): Home {
  return {
    plan,
    random,
    guests: newGuests(),
    ledger: newLedger(plan.count),
    holders: new Set(),
    usualMs: 0,
    quietUntil: now,
    tickAt: now + TICK_MS,
    decisions: [],
  };
}

/** Takes in one event and says what is to be done. `now` in ms, never less than before. */
export function stepHome(home: Home, now: number, event: HomeEvent): readonly HomeDecision[] {
  if (event.kind === 'tick') tick(home, now, event.lateMs);
  else if (event.kind === 'reported') noteReport(home, now, event);
  else stepGuest(home, now, event);
  const { decisions } = home;
  home.decisions = [];
  return decisions;
}

function stepGuest(home: Home, now: number, event: Exclude<HomeEvent, { kind: 'tick' | 'reported' }>): void {
  const guest = home.guests.byId.get(event.member);
  if (!guest) return;
  switch (event.kind) {
    case 'landed':
      landed(home, guest, event.piece, now);
      break;
    case 'told':
      noteAnswer(home.guests, guest.toldAt, now);
      guest.toldAt = undefined;
      break;
    case 'progress':
      noteAnswer(home.guests, guest.questionedAt, now);
      guest.questionedAt = undefined;
      if (event.hasProgress) guest.progressAt = now;
      else if (othersProgress(home, guest, now)) endLease(home, guest, now);
      break;
    case 'returned':
      guest.isRefused ||= event.isRefused;
      endLease(home, guest, now);
      break;
    case 'left':
      leave(home, guest, now);
      break;
  }
}

function leave(home: Home, guest: Guest, now: number): void {
  removeGuest(home.guests, guest);
  home.holders.delete(guest);
  forgetFetcher(home.ledger, guest.member, now);
  grantFree(home, now);
}

function noteReport(
  home: Home,
  now: number,
  event: { readonly member: MemberId; readonly report: MemberReport },
): void {
  const { member, report } = event;
  const { guests, ledger } = home;
  const known = guests.byId.get(member);
  const guest =
    known ?? addGuest(guests, { member, zone: report.zone, uplinkBytesPerSecond: report.uplinkBytesPerSecond }, now);
  if (!guest) {
    home.decisions.push({
      kind: 'answer',
      to: member,
      answer: { members: [], reportEveryMs: reportEvery(guests), usualUplink: 0 },
    });
    return;
  }
  guest.heardAt = now;
  guest.uplinkBytesPerSecond = report.uplinkBytesPerSecond;
  guest.isComplete = report.isComplete;
  if (!known) welcome(home, guest, report, now);
  noteWithdrawn(ledger, report.held, member);
  if (guest.lapses === 0) noteHeld(ledger, report.held, member, now);
  const lacking = report.lacking ? listPieces(report.lacking) : [];
  const isHelped = report.wantsMembers || lacking.length > 0;
  const members = isHelped ? nameMembers(guests, guest, home.random, fetchersOf(ledger, lacking)) : [];
  home.decisions.push({
    kind: 'answer',
    to: member,
    answer: { members, reportEveryMs: reportEvery(guests), usualUplink: guests.usualUplink },
  });
  for (const liar of hearCaught(home, guest, report.caught)) endLease(home, liar, now);
  if (lacking.length > 0) noteLack(home, guest, lacking, now);
  if (!known && isFit(home, guest)) grant(home, guest, now);
}

/** The first that comes from a home before this one is followed by others, with pieces and leases: they are waited for. */
function welcome(home: Home, guest: Guest, report: MemberReport, now: number): void {
  if (report.isFollowing && home.ledger.free === home.plan.count) home.quietUntil = now + SUCCESSION_MS;
  if (!report.leased) return;
  for (const piece of listPieces(report.leased)) {
    if (piece >= home.plan.count || hasPiece(home.ledger.taken, piece)) continue;
    noteLeased(home.ledger, piece, guest.member, now);
    guest.leased++;
  }
  if (guest.leased > 0) home.holders.add(guest);
}

/** Pieces a member cannot find: those it may fetch itself. */
function noteLack(home: Home, guest: Guest, lacking: readonly number[], now: number): void {
  hearComplaints(home, guest, lacking, now);
  const [first] = lacking.filter((piece) => piece < home.plan.count && !hasPiece(home.ledger.taken, piece));
  if (first !== undefined && !guest.isRefused) grant(home, guest, now, first);
}

/**
 * Whether a member is fast enough to fetch for all. Slow ones come into it only when nobody else is there. Measured
 * against what is usual: what one holder seems to have, which may be wrong, or stand still, says nothing of the others.
 */
function isFit(home: Home, guest: Guest): boolean {
  if (guest.isRefused || guest.lapses > 0 || isSlow(home.guests, guest)) return false;
  let best = 0;
  for (const holder of home.holders) best = Math.max(best, holder.pace);
  return guest.pace === 0 || 3 * guest.pace >= best;
}

function grant(home: Home, guest: Guest, now: number, from?: number): Run | undefined {
  if (now < home.quietUntil) return undefined;
  if (!home.holders.has(guest) && home.holders.size >= LEASES_MAX) return undefined;
  // Who comes first may soon be one of many.
  const others = guest.pace === 0 ? LEASES_MAX : home.guests.byId.size - 1;
  const fetcher = { member: guest.member, others, isTrial: guest.pace === 0 && guest.uplinkBytesPerSecond === 0 };
  const run = takeRun(home.ledger, fetcher, now, from);
  if (!run) return undefined;
  if (guest.leased === 0) {
    guest.leasedAt = now;
    guest.progressAt = now;
    guest.questionedAt = undefined;
  }
  guest.leased += run.end - run.start;
  guest.toldAt ??= now;
  home.holders.add(guest);
  home.decisions.push({ kind: 'lease', to: guest.member, run });
  return run;
}

/** Gives what is free to members that are not fetching yet. */
function grantFree(home: Home, now: number): void {
  while (home.ledger.free > 0 && home.holders.size < LEASES_MAX && now >= home.quietUntil) {
    const guest = chooseFetcher(home.guests, home.random);
    if (!guest || !grant(home, guest, now)) return;
  }
}

function landed(home: Home, guest: Guest, piece: number, now: number): void {
  const { ledger } = home;
  const isOwn = isLeasedTo(ledger, piece, guest.member);
  if (!isOwn) {
    if (guest.lapses === 0) noteClaim(ledger, piece, guest.member, now);
    return;
  }
  noteLanded(ledger, piece, guest.member, now);
  guest.progressAt = now;
  guest.leased--;
  const tookMs = Math.max(1, now - guest.leasedAt);
  const pace = 1000 / tookMs;
  // One that dawdles does not make dawdling usual.
  home.usualMs = home.usualMs === 0 ? tookMs : 0.9 * home.usualMs + 0.1 * Math.min(tookMs, 3 * home.usualMs);
  guest.pace = guest.pace === 0 ? pace : 0.7 * guest.pace + 0.3 * pace;
  guest.leasedAt = now;
  if (guest.leased <= LEASE_EXTEND_PIECES && isFit(home, guest) && mayGoOn(home, guest)) grant(home, guest, now);
  if (guest.leased > 0) return;
  home.holders.delete(guest);
  grantFree(home, now);
  // A slow one, for want of others.
  if (home.holders.size === 0 && !guest.isRefused) grant(home, guest, now);
}

/** Others take turns with one whose pieces are not seen elsewhere yet. */
function mayGoOn(home: Home, guest: Guest): boolean {
  if (countUnseen(home.ledger, guest.member) < UNSEEN_PIECES_MAX) return true;
  return chooseFetcher(home.guests, home.random) === undefined;
}

/** Whether the origin serves somebody else: then one that gets nothing is the one in trouble. */
function othersProgress(home: Home, guest: Guest, now: number): boolean {
  for (const holder of home.holders) {
    if (holder !== guest && now - holder.progressAt < 2 * LEASE_QUIET_MS) return true;
  }
  return false;
}

function endLease(home: Home, guest: Guest, now: number): void {
  releaseLeased(home.ledger, guest.member);
  guest.leased = 0;
  home.holders.delete(guest);
  home.decisions.push({ kind: 'withdraw', from: guest.member });
  grantFree(home, now);
}

/** Not just slow: what it says of its progress is not to be believed. */
function isHopeless({ usualMs }: Home, guest: Guest, now: number): boolean {
  return usualMs > 0 && now - guest.leasedAt > Math.max(HOPELESS_MS, HOPELESS_FACTOR * usualMs);
}

function tick(home: Home, now: number, lateMs = 0): void {
  home.tickAt = now + TICK_MS;
  noteUsualUplink(home.guests, home.random);
  home.guests.answerMs = usualWhenLate(home.guests.answerMs, lateMs);
  const muteMs = patientMs(LEASE_QUIET_MS, home.guests.answerMs);
  for (const guest of [...home.holders]) {
    const isMute = guest.questionedAt !== undefined && now - guest.questionedAt >= muteMs;
    if (isMute || isHopeless(home, guest, now)) {
      noteLapse(home, guest);
      endLease(home, guest, now);
    } else if (guest.questionedAt === undefined && now - guest.progressAt >= LEASE_QUIET_MS) {
      guest.questionedAt = now;
      home.decisions.push({ kind: 'question', to: guest.member });
    }
  }
  for (const guest of home.guests.byId.values()) if (now - guest.heardAt > GUEST_SILENT_MS) leave(home, guest, now);
  releaseDoubtful(home.ledger, now);
  grantFree(home, now);
}
