import type { PiecePlan } from '@drayage/core';
import { type Bitmap, emptyBitmap, firstAbsent, fullBitmap, hasPiece } from './bitmap.ts';
import { HOME_ANSWER_MS, IN_FLIGHT_USUAL, LACK_MS, ORIGIN_RETRY_MS, TICK_MS } from './limits.ts';
import { DOUBT_OF_TWO, doubtOf, type Standing } from './standing.ts';
import type { Uplink } from './uplink.ts';
import type { Hello, MemberDecision, MemberId } from './words.ts';

/** No member: the author of a piece that nobody vouches for. */
export const NOBODY: MemberId = -1;

/** What a member knows of one it is linked to. */
export interface Link {
  readonly member: MemberId;
  /** In our own zone, or zones are not in use. */
  readonly isNear: boolean;
  /** It was caught in a lie: nothing is taken from it, and what it holds does not count. */
  isLiar: boolean;
  readonly held: Bitmap;
  heldCount: number;
  /** Transfers it has in flight, as it last said. */
  inFlight: number;
  servedAt: number;
  /** When we offered it a slot; undefined when no offer is open. */
  offeredAt: number | undefined;
  /** What it had no use for since something last changed: an offer, or one that we insisted on. */
  declined: 'nothing' | 'offer' | 'all';
  /** We insist on the open offer. */
  isInsisted: boolean;
  busyUntil: number;
  /** Since when it has answered nothing but BUSY; undefined when the last answer was a piece. */
  busySince: number | undefined;
}

/** A piece on its way to us from a link. */
export interface Transfer {
  readonly link: Link;
  readonly piece: number;
  readonly askedAt: number;
  heardAt: number;
}

/** A piece on its way from us to a link. */
interface Upload {
  readonly piece: number;
  readonly since: number;
}

/** How our offers fare, as lately seen; times in ms, 0 when unknown. */
interface Offering {
  takenShare: number;
  answerMs: number;
  /** Of late, without the time that answers waited behind what is sent. */
  leastAnswerMs: number;
  sendMs: number;
}

/** A member's side of one blob. Changed by its steps alone. */
export interface Member extends Omit<MemberParts, 'held' | 'sealed' | 'homes'> {
  homes: readonly MemberId[];
  now: number;
  tickAt: number;
  decisions: MemberDecision[];

  /** Pieces in the draft. */
  readonly held: Bitmap;
  heldCount: number;
  /** Pieces that are neither held, nor on their way, nor leased to us. */
  readonly open: Bitmap;
  /** Pieces our links know of. */
  readonly told: Bitmap;
  untold: number[];
  /** When the untold pieces go out; infinite when there are none. */
  tellAt: number;
  readonly hashes: (string | undefined)[];
  readonly authors: Int32Array;
  /** Of the lies that the host knows of, those whose pieces were looked for here. */
  liesSeen: number;
  isSealed: boolean;

  /** Where the reader is, the first piece at or after it that is missing, and since when. */
  reader: number;
  head: number;
  headAt: number;

  readonly links: Map<MemberId, Link>;
  /** Members that may become links. */
  candidates: MemberId[];
  /** Members we are linking to. */
  readonly linking: Set<MemberId>;
  /** How many links have each piece: all of them, and the near ones. */
  readonly rarity: Uint8Array;
  readonly nearRarity: Uint8Array;

  readonly transfers: Transfer[];
  /** How long a piece usually takes, in ms; 0 when unknown. */
  usualMs: number;
  gainedAt: number;
  /** When bytes last came, from anyone. */
  heardAt: number;

  /** Pieces that may be on their way from this host, of whatever blob. */
  slots: number;
  /** The same to this host, when nobody insists. */
  room: number;
  readonly uploads: Map<MemberId, Upload[]>;
  /** The uplink of a usual member, as the home says; 0 while it is not known. */
  usualUplink: number;
  uploading: number;
  offers: number;
  readonly offering: Offering;

  readonly home: HomeContact;
  readonly origin: OriginWork;
  readonly parole: Parole;
}

interface HomeContact {
  index: number;
  /** When a report went out that is still to be answered; undefined when none is. */
  askedAt: number | undefined;
  /** How long homes usually take to answer; 0 when unknown. */
  answerMs: number;
  reportAt: number;
  lackMs: number;
  lackedAt: number;
  /** The open report names pieces that we lack. */
  isLacking: boolean;
  /** It has been at another home in between. */
  hasMoved: boolean;
  /** Of the lies that the host knows of, those this home has heard of. */
  liesTold: number;
}

/** What a member fetches from the origin itself. */
interface OriginWork {
  /** Pieces leased, in order, the first being fetched. */
  queue: number[];
  isFetching: boolean;
  /** The last piece of the run being fetched. */
  lastOfRun: number;
  heardAt: number;
  retryAt: number;
  retryMs: number;
  /** The origin will not have us. */
  isRefused: boolean;
  /** Members do not deliver: we fetch for ourselves. */
  isImpatient: boolean;
  /** Pieces of the next run that we fetch for ourselves: more each time. */
  aloneRun: number;
}

/** Which pieces are under suspicion after the whole digest failed. */
interface Parole {
  /** The digest has failed, and nobody was caught since. */
  isOpen: boolean;
  /** It has failed before. */
  wasOpen: boolean;
  /** The suspect that is being fetched again. */
  suspect: number | undefined;
}

export interface MemberParts {
  readonly self: MemberId;
  readonly plan: PiecePlan;
  /** The members that coordinate this blob, first choice first. */
  readonly homes: readonly MemberId[];
  readonly zone: string | undefined;
  /** Shared by all blobs of the host. */
  readonly uplink: Uplink;
  readonly standing: Standing;
  readonly random: () => number;
  /** The pieces of a draft that is taken up again; not told to others before the digest is proven. */
  readonly held?: Bitmap;
  /** The piece hashes of a blob that is sealed here. */
  readonly sealed?: readonly string[];
}

/** A member that has not done anything yet. Its first tick is due at once. */
export function newMember(parts: MemberParts, now: number): Member {
  const { plan, sealed } = parts;
  const held = sealed ? fullBitmap(plan.count) : (parts.held?.slice() ?? emptyBitmap(plan.count));
  const open = fullBitmap(plan.count).map((bits, word) => bits & ~(held[word] ?? 0));
  const head = firstAbsent(held, 0, plan.count);
  let heldCount = 0;
  for (let piece = 0; piece < plan.count; piece++) if (hasPiece(held, piece)) heldCount++;
  return {
    self: parts.self,
    plan,
    homes: parts.homes,
    zone: parts.zone,
    uplink: parts.uplink,
    standing: parts.standing,
    random: parts.random,
    now,
    tickAt: now,
    decisions: [],
    held,
    heldCount,
    open,
    told: sealed ? held.slice() : emptyBitmap(plan.count),
    untold: [],
    tellAt: Number.POSITIVE_INFINITY,
    hashes: sealed?.slice() ?? new Array<string | undefined>(plan.count).fill(undefined),
    authors: new Int32Array(plan.count).fill(sealed ? parts.self : NOBODY),
    liesSeen: parts.standing.lies,
    isSealed: sealed !== undefined,
    reader: 0,
    head,
    headAt: now,
    links: new Map(),
    candidates: [],
    linking: new Set(),
    rarity: new Uint8Array(plan.count),
    nearRarity: new Uint8Array(plan.count),
    transfers: [],
    usualMs: 0,
    gainedAt: now,
    heardAt: now,
    slots: 0,
    room: IN_FLIGHT_USUAL,
    uploads: new Map(),
    usualUplink: 0,
    uploading: 0,
    offers: 0,
    offering: { takenShare: 1, answerMs: 0, leastAnswerMs: 0, sendMs: 0 },
    home: {
      index: 0,
      askedAt: undefined,
      answerMs: 0,
      reportAt: now,
      lackMs: LACK_MS,
      lackedAt: now,
      isLacking: false,
      hasMoved: false,
      liesTold: 0,
    },
    origin: idleOrigin(now),
    parole: { isOpen: false, wasOpen: false, suspect: undefined },
  };
}

function idleOrigin(now: number): OriginWork {
  return {
    queue: [],
    isFetching: false,
    lastOfRun: 0,
    heardAt: now,
    retryAt: 0,
    retryMs: ORIGIN_RETRY_MS,
    isRefused: false,
    isImpatient: false,
    aloneRun: 1,
  };
}

export function decide(member: Member, decision: MemberDecision): void {
  member.decisions.push(decision);
}

export function isComplete(member: Member): boolean {
  return member.heldCount === member.plan.count;
}

/** Whether the piece is in the draft, or on its way into it. */
export function isHere(member: Member, piece: number): boolean {
  return member.hashes[piece] !== undefined || hasPiece(member.held, piece);
}

/** Whether a piece is here on the word of another, when some such word was false, or that one is said to have lied. */
export function isSuspect({ parole, held, authors, self, standing, now }: Member, piece: number): boolean {
  const author = authors[piece] ?? NOBODY;
  if (author === self || !hasPiece(held, piece)) return false;
  return parole.wasOpen || doubtOf(standing, author, now) >= DOUBT_OF_TWO;
}

/** Every transfer counts, and so does the connection to the origin. */
export function inFlight(member: Member): number {
  return member.transfers.length + (member.origin.isFetching ? 1 : 0);
}

/** What a new link is told of us. */
export function helloOf({ told, zone }: Member): Hello {
  return { held: told.slice(), zone };
}

/** When the next tick is needed. */
export function nextDue(member: Member): number {
  const { askedAt } = member.home;
  return Math.min(member.tickAt, member.tellAt, (askedAt ?? Number.POSITIVE_INFINITY) + HOME_ANSWER_MS);
}

export function passTick(member: Member): void {
  member.tickAt = member.now + (member.isSealed ? 4 * TICK_MS : TICK_MS);
}
