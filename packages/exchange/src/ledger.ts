import { addPiece, type Bitmap, emptyBitmap, hasPiece, lowestBit, removePiece } from './bitmap.ts';
import { COMPLAINTS_MAX, DOUBT_MS, LEASE_PIECES_MAX, LEASES_MAX, ORPHAN_MS } from './limits.ts';
import { NOBODY } from './member-state.ts';
import type { MemberId, Run } from './words.ts';

/** More than one member. */
const SEVERAL: MemberId = -2;

/** What a home knows of the pieces of one blob: which may be fetched, which are being fetched, which have come. */
export interface Ledger {
  readonly count: number;
  /** Leased or landed: not to be leased. */
  readonly taken: Bitmap;
  readonly landed: Bitmap;
  /** Held by somebody else than the one who fetched it. */
  readonly spread: Bitmap;
  /** Who fetches or fetched a piece: on whose word it is here. */
  readonly fetchers: Int32Array;
  readonly changedAt: Float64Array;
  readonly complaints: Uint8Array;
  readonly complainedAt: Float64Array;
  readonly complainers: Int32Array;
  /** Said to be here once when it was not: only who leases it is believed. */
  readonly contested: Bitmap;
  /** Who fetched it no longer says that it is here. */
  readonly withdrawn: Bitmap;
  /** No piece before this one is free. */
  firstFree: number;
  free: number;
}

export function newLedger(count: number): Ledger {
  return {
    count,
    taken: emptyBitmap(count),
    landed: emptyBitmap(count),
    spread: emptyBitmap(count),
    fetchers: new Int32Array(count).fill(NOBODY),
    changedAt: new Float64Array(count),
    complaints: new Uint8Array(count),
    complainedAt: new Float64Array(count),
    complainers: new Int32Array(count).fill(NOBODY),
    contested: emptyBitmap(count),
    withdrawn: emptyBitmap(count),
    firstFree: 0,
    free: count,
  };
}

/** Whom a run is for: the fewer there are to fetch, the longer it is. */
export interface Fetcher {
  readonly member: MemberId;
  readonly others: number;
  /** Nothing is known of how fast it is: it fetches one piece first. */
  readonly isTrial?: boolean;
}

/** The next pieces to fetch, in order of the blob, marked as leased. Short runs keep the leases of a small blob alike. */
export function takeRun(
  ledger: Ledger,
  { member, others, isTrial = false }: Fetcher,
  now: number,
  from?: number,
): Run | undefined {
  if (ledger.free === 0) return undefined;
  while (ledger.firstFree < ledger.count && hasPiece(ledger.taken, ledger.firstFree)) ledger.firstFree++;
  const start = from !== undefined && !hasPiece(ledger.taken, from) ? from : ledger.firstFree;
  const fair = others < LEASES_MAX ? Math.ceil(ledger.free / (2 * (others + 1))) : 1;
  const most = isTrial ? 1 : Math.max(1, Math.min(LEASE_PIECES_MAX, Math.max(fair, ledger.count >>> 6)));
  let end = start;
  while (end < ledger.count && end - start < most && !hasPiece(ledger.taken, end)) {
    noteLeased(ledger, end, member, now);
    end++;
  }
  return { start, end };
}

export function noteLeased(ledger: Ledger, piece: number, member: MemberId, now: number): void {
  take(ledger, piece);
  ledger.fetchers[piece] = member;
  ledger.changedAt[piece] = now;
}

export function noteLanded(ledger: Ledger, piece: number, member: MemberId, now: number): void {
  take(ledger, piece);
  if (hasPiece(ledger.landed, piece)) return;
  addPiece(ledger.landed, piece);
  ledger.fetchers[piece] = member;
  ledger.changedAt[piece] = now;
}

/** Pieces that a member says it holds. */
export function noteHeld(ledger: Ledger, held: Bitmap, member: MemberId, now: number): void {
  for (let word = 0; word < ledger.spread.length; word++) {
    for (let news = (held[word] ?? 0) & ~(ledger.spread[word] ?? 0); news !== 0; news &= news - 1) {
      const piece = (word << 5) + lowestBit(news);
      if (piece >= ledger.count) return;
      noteClaim(ledger, piece, member, now);
    }
  }
}

/** What a member fetched and does not say it holds has proved wrong, or is not in its draft yet. */
export function noteWithdrawn({ landed, withdrawn, fetchers }: Ledger, held: Bitmap, member: MemberId): void {
  for (let word = 0; word < landed.length; word++) {
    for (let rest = landed[word] ?? 0; rest !== 0; rest &= rest - 1) {
      const piece = (word << 5) + lowestBit(rest);
      if (fetchers[piece] !== member) continue;
      if (hasPiece(held, piece)) removePiece(withdrawn, piece);
      else addPiece(withdrawn, piece);
    }
  }
}

/** A member says it holds a piece. A lease speaks for itself: its holder says when the piece has landed. */
export function noteClaim(ledger: Ledger, piece: number, member: MemberId, now: number): void {
  if (hasPiece(ledger.landed, piece)) {
    if (ledger.fetchers[piece] !== member) addPiece(ledger.spread, piece);
  } else if (piece < ledger.count && !hasPiece(ledger.taken, piece) && !hasPiece(ledger.contested, piece)) {
    noteLanded(ledger, piece, member, now);
  }
}

/** Whether the member is to fetch the piece. */
export function isLeasedTo(ledger: Ledger, piece: number, member: MemberId): boolean {
  return ledger.fetchers[piece] === member && hasPiece(ledger.taken, piece) && !hasPiece(ledger.landed, piece);
}

/** How many pieces rest on a member's word alone. */
export function countUnseen(ledger: Ledger, member: MemberId): number {
  let unseen = 0;
  for (let piece = 0; piece < ledger.count; piece++) if (restsOn(ledger, piece, member)) unseen++;
  return unseen;
}

function restsOn(ledger: Ledger, piece: number, member: MemberId): boolean {
  return ledger.fetchers[piece] === member && hasPiece(ledger.landed, piece) && !hasPiece(ledger.spread, piece);
}

/** The members who are said to have these pieces. */
export function fetchersOf(ledger: Ledger, pieces: readonly number[]): Set<MemberId> {
  const fetchers = new Set<MemberId>();
  for (const piece of pieces) {
    const member = ledger.fetchers[piece] ?? NOBODY;
    if (member !== NOBODY && hasPiece(ledger.landed, piece)) fetchers.add(member);
  }
  return fetchers;
}

/** Frees what is here on a member's word alone, which is worth nothing any more. */
export function releaseUnseen(ledger: Ledger, member: MemberId): void {
  for (let piece = 0; piece < ledger.count; piece++) {
    if (!restsOn(ledger, piece, member)) continue;
    release(ledger, piece);
    addPiece(ledger.contested, piece);
  }
}

/** Frees all that a member fetched: others have it from there. */
export function releaseFetched(ledger: Ledger, member: MemberId): void {
  for (let piece = 0; piece < ledger.count; piece++) {
    if (ledger.fetchers[piece] !== member || !hasPiece(ledger.landed, piece)) continue;
    release(ledger, piece);
    addPiece(ledger.contested, piece);
  }
}

/** Frees what a member has not fetched, and puts in doubt what only it had. */
export function forgetFetcher(ledger: Ledger, member: MemberId, now: number): void {
  for (let piece = 0; piece < ledger.count; piece++) {
    if (ledger.fetchers[piece] !== member || hasPiece(ledger.spread, piece)) continue;
    if (hasPiece(ledger.landed, piece)) {
      ledger.fetchers[piece] = NOBODY;
      ledger.changedAt[piece] = now;
    } else release(ledger, piece);
  }
}

/** Frees what a member was to fetch and has not. */
export function releaseLeased(ledger: Ledger, member: MemberId): void {
  for (let piece = 0; piece < ledger.count; piece++) {
    if (isLeasedTo(ledger, piece, member)) release(ledger, piece);
  }
}

/** Frees pieces that nobody showed since the only member known to have them went away. */
export function releaseDoubtful(ledger: Ledger, now: number): void {
  for (let piece = 0; piece < ledger.count; piece++) {
    const isOrphan = ledger.fetchers[piece] === NOBODY && hasPiece(ledger.landed, piece);
    if (!isOrphan || hasPiece(ledger.spread, piece)) continue;
    if (now - (ledger.changedAt[piece] ?? 0) >= ORPHAN_MS) release(ledger, piece);
  }
}

interface Complaint {
  readonly by: MemberId;
  /** Between the landing of a piece and a complaint that counts, and between that and the one that frees it. */
  readonly doubtMs: number;
}

/**
 * A member looked for the piece in vain. It is told who is said to have it; when there are complaints a while later as
 * well, the piece is freed; at once when that member no longer says so. If more than one complained of what rests on one
 * member's word, that word is worthless.
 */
export function complain(
  ledger: Ledger,
  piece: number,
  { by, doubtMs }: Complaint,
  now: number,
): 'stays' | 'freed' | 'lied' {
  const landedMs = now - (ledger.changedAt[piece] ?? 0);
  const isWithdrawn = hasPiece(ledger.withdrawn, piece) && landedMs >= DOUBT_MS;
  if (!hasPiece(ledger.landed, piece) || (landedMs < doubtMs && !isWithdrawn)) return 'stays';
  const complaints = (ledger.complaints[piece] ?? 0) + 1;
  ledger.complaints[piece] = Math.min(complaints, COMPLAINTS_MAX);
  if (complaints === 1) {
    ledger.complainedAt[piece] = now;
    ledger.complainers[piece] = by;
  }
  if (ledger.complainers[piece] !== by) ledger.complainers[piece] = SEVERAL;
  const isSpread = hasPiece(ledger.spread, piece);
  const isEarly = now - (ledger.complainedAt[piece] ?? 0) < doubtMs;
  if (!isWithdrawn && (isEarly || (isSpread && complaints < COMPLAINTS_MAX))) return 'stays';
  const isLie = !isSpread && !isWithdrawn && ledger.complainers[piece] === SEVERAL;
  release(ledger, piece);
  addPiece(ledger.contested, piece);
  return isLie ? 'lied' : 'freed';
}

function take(ledger: Ledger, piece: number): void {
  if (hasPiece(ledger.taken, piece)) return;
  addPiece(ledger.taken, piece);
  ledger.free--;
}

function release(ledger: Ledger, piece: number): void {
  const word = piece >>> 5;
  const others = ~(1 << (piece & 31));
  for (const bits of [ledger.taken, ledger.landed, ledger.spread, ledger.withdrawn])
    bits[word] = (bits[word] ?? 0) & others;
  ledger.fetchers[piece] = NOBODY;
  ledger.complaints[piece] = 0;
  ledger.complainers[piece] = NOBODY;
  ledger.free++;
  ledger.firstFree = Math.min(ledger.firstFree, piece);
}
