import { patientMs } from './answers.ts';
import { addPiece, firstAbsent, hasPiece, removePiece } from './bitmap.ts';
import {
  LEASE_PIECES_MAX,
  LEASE_QUIET_MS,
  ORIGIN_RETRY_MS,
  ORIGIN_RETRY_MS_MAX,
  ORIGIN_SILENT_MS,
  PATIENCE_MS,
  PIECE_PATIENCE_MS,
  SMALL_BYTES_MAX,
  SMALL_PATIENCE_MS,
} from './limits.ts';
import { decide, isHere, isSuspect, type Member } from './member-state.ts';
import { hasFailed } from './standing.ts';
import type { MemberId, Run } from './words.ts';

/** The home lets us fetch a run of pieces from the origin. */
export function takeLease(member: Member, home: MemberId, run: Run): void {
  if (member.origin.isRefused) {
    decide(member, { kind: 'give back', home, isRefused: true });
    return;
  }
  for (let piece = run.start; piece < Math.min(run.end, member.plan.count); piece++) {
    if (isHere(member, piece) && !isSuspect(member, piece)) decide(member, { kind: 'landed', home, piece });
    else enqueue(member, piece);
  }
  fetchNext(member);
}

function enqueue(member: Member, piece: number): void {
  if (!member.origin.queue.includes(piece)) member.origin.queue.push(piece);
  removePiece(member.open, piece);
}

/** Asks the origin for the pieces at the head of the queue, as far as they follow one another. */
export function fetchNext(member: Member): void {
  const { origin, now } = member;
  const [start] = origin.queue;
  if (start === undefined || origin.isFetching || now < origin.retryAt) return;
  let count = 1;
  while (origin.queue[count] === start + count) count++;
  origin.isFetching = true;
  origin.heardAt = now;
  origin.lastOfRun = start + count - 1;
  decide(member, { kind: 'fetch', run: { start, end: start + count } });
}

/** A piece came from the origin. False when it was not in the queue. */
export function takeFromQueue(member: Member, piece: number): boolean {
  const { origin } = member;
  origin.heardAt = member.now;
  origin.retryMs = ORIGIN_RETRY_MS;
  if (piece === origin.lastOfRun) origin.isFetching = false;
  return leaveQueue(member, piece);
}

/** A leased piece came another way. False when it was not in the queue. */
export function leaveQueue({ origin }: Member, piece: number): boolean {
  const at = origin.queue.indexOf(piece);
  if (at < 0) return false;
  origin.queue.splice(at, 1);
  return true;
}

/** The connection broke, or the origin is down: the same again, a little later. */
export function noteOriginFailure(member: Member): void {
  const { origin, now } = member;
  origin.isFetching = false;
  openToLinks(member);
  // Nobody gets anything then, and all would come at once when it is back: those with a lease go first.
  if (origin.isImpatient) {
    origin.isImpatient = false;
    member.gainedAt = now;
    reopen(member);
  }
  origin.retryAt = now + origin.retryMs;
  origin.retryMs = Math.min(2 * origin.retryMs, ORIGIN_RETRY_MS_MAX);
}

/** What a link has need not wait for the origin, where that is silent. */
export function watchOrigin(member: Member): void {
  const { origin, now, home } = member;
  if (origin.isFetching && now - origin.heardAt >= patientMs(LEASE_QUIET_MS, home.answerMs)) openToLinks(member);
}

function openToLinks(member: Member): void {
  const { origin, rarity } = member;
  openAgain(
    member,
    origin.queue.filter((piece) => rarity[piece] !== 0),
  );
}

/** The origin will not have us: somebody else must fetch. */
export function noteOriginRefusal(member: Member, home: MemberId | undefined): void {
  member.origin.isFetching = false;
  member.origin.isRefused = true;
  reopen(member);
  if (home !== undefined) decide(member, { kind: 'give back', home, isRefused: true });
}

/** The lease has ended before its pieces were here. */
export function endLease(member: Member): void {
  if (member.origin.isFetching && member.parole.suspect === undefined) {
    member.origin.isFetching = false;
    decide(member, { kind: 'stop fetch' });
  }
  reopen(member);
}

function reopen(member: Member): void {
  openAgain(member, member.origin.queue);
  member.origin.queue = [];
}

/** What neither is here nor comes from a link may be asked for. */
function openAgain(member: Member, pieces: readonly number[]): void {
  const isComing = (piece: number) => member.transfers.some((transfer) => transfer.piece === piece);
  for (const piece of pieces) if (!isHere(member, piece) && !isComing(piece)) addPiece(member.open, piece);
}

/** Whether bytes come from the origin, or have come and the home will soon hear of it. */
export function hasProgress({ origin, home, now }: Member): boolean {
  if (origin.queue.length === 0) return true;
  return origin.isFetching && now - origin.heardAt < patientMs(ORIGIN_SILENT_MS, home.answerMs);
}

/** Without a home, takes from the origin what no link has. Members in the same case start at different places. */
export function fetchAlone(member: Member): void {
  const { origin, plan, links, random } = member;
  if (origin.queue.length > 0 || origin.isRefused) return;
  const from = links.size === 0 ? member.head : Math.floor(random() * plan.count);
  const start = firstLacking(member, from) ?? firstLacking(member, 0);
  if (start === undefined) return;
  for (let piece = start; piece < start + LEASE_PIECES_MAX && isLacking(member, piece); piece++) enqueue(member, piece);
  fetchNext(member);
}

function firstLacking(member: Member, from: number): number | undefined {
  for (let piece = from; piece < member.plan.count; piece++) if (isLacking(member, piece)) return piece;
  return undefined;
}

/** Missing here, and at every link but those that claimed something lately and did not deliver. */
export function isLacking({ open, rarity, links, standing, now }: Member, piece: number): boolean {
  if (!hasPiece(open, piece)) return false;
  if (rarity[piece] === 0) return true;
  for (const { member, held, isLiar } of links.values())
    if (!isLiar && hasPiece(held, piece) && !hasFailed(standing, member, now)) return false;
  return true;
}

/**
 * Never a hang: when no bytes come for a long time, whatever the home says, this member fetches for itself until others
 * deliver again; when the origin will not have it, that is the end.
 */
export function losePatience(member: Member): void {
  const { now, origin, heardAt, gainedAt, plan, random } = member;
  // Not all at the same moment: the first to go may be enough for others to have something again.
  const patienceMs = (plan.size > SMALL_BYTES_MAX ? PATIENCE_MS : SMALL_PATIENCE_MS) * (1 + random());
  const isPatient = now - Math.max(heardAt, gainedAt) < patienceMs && now - gainedAt < PIECE_PATIENCE_MS;
  if (isPatient || origin.queue.length > 0) return;
  // What comes in now may be the last of it.
  if (origin.isRefused && member.transfers.length > 0) return;
  member.gainedAt = now;
  if (origin.isRefused) {
    decide(member, { kind: 'fail', why: 'unavailable' });
    return;
  }
  origin.isImpatient = true;
  origin.aloneRun = 1;
  goOnAlone(member);
}

/** Takes the next pieces from the origin, unless members deliver again. */
export function goOnAlone(member: Member): void {
  const { origin, plan, held, head } = member;
  if (!origin.isImpatient || origin.queue.length > 0) return;
  const ahead = firstAbsent(held, head, plan.count);
  for (let piece = ahead < plan.count ? ahead : 0; piece < plan.count; piece++) {
    if (isHere(member, piece)) continue;
    enqueue(member, piece);
    if (origin.queue.length === origin.aloneRun) break;
  }
  origin.aloneRun = Math.min(2 * origin.aloneRun, LEASE_PIECES_MAX);
  fetchNext(member);
}
