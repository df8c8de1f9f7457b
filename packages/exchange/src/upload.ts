import { pieceSpan } from '@drayage/core';
import { hasMoreThan, hasPiece } from './bitmap.ts';
import {
  ANSWER_PART,
  DEPTH_FACTOR_MAX,
  DEPTH_GAIN,
  HAVE_EVERY_MS,
  IN_FLIGHT_MAX,
  IN_FLIGHT_USUAL,
  OFFER_MS,
  OFFERED_SLOTS_MAX,
  ROOM_MIN,
  SLOTS,
  SLOTS_MAX,
  TAKEN_SHARE_MIN,
  UPLINK_LIKE_FACTOR,
} from './limits.ts';
import { decide, type Link, type Member } from './member-state.ts';
import { beginSending, endSending } from './uplink.ts';

/** How much of the way the shortest answer known moves towards each longer one. */
const LEAST_RISES = 0.02;

/**
 * Offers free slots to the links that can use them: the one with the fewest transfers in flight first. A link that has
 * enough is left alone, unless most of our slots are free.
 */
export function offerSlots(member: Member): void {
  while (hasRoom(member)) {
    const mayInsist = 2 * (member.uploading + member.offering.takenShare * member.offers) < ownSlots(member);
    const usual = nextServed(member, false);
    const link = usual ?? (mayInsist ? nextServed(member, true) : undefined);
    if (!link) return;
    const insists = usual === undefined;
    link.offeredAt = member.now;
    link.isInsisted = insists;
    member.offers++;
    decide(member, { kind: 'offer', to: link.member, insists });
  }
}

/** What takes a while to be answered, and is often declined, is not worth a slot: others are offered it as well. */
function hasRoom(member: Member): boolean {
  const { uploading, offers, offering } = member;
  const slots = ownSlots(member);
  if (uploading + offers >= OFFERED_SLOTS_MAX * slots) return false;
  const { takenShare, answerMs, sendMs } = offering;
  const isQuick = sendMs === 0 || answerMs <= ANSWER_PART * takenShare * sendMs;
  return uploading + (isQuick ? offers : takenShare * offers) < slots;
}

/** Liars come last. Ties go to the nearer, then to the one that was served least recently. */
function nextServed(member: Member, insists: boolean): Link | undefined {
  const most = insists ? IN_FLIGHT_MAX : ownRoom(member);
  let best: Link | undefined;
  for (const link of member.links.values()) {
    if (link.offeredAt !== undefined || link.inFlight >= most) continue;
    if (link.declined === 'all' || (link.declined === 'offer' && !insists)) continue;
    if (best && !goesBefore(link, best)) continue;
    if (hasMoreThan(member.told, link.held)) best = link;
  }
  return best;
}

function goesBefore(link: Link, other: Link): boolean {
  if (link.isLiar !== other.isLiar) return other.isLiar;
  if (link.inFlight !== other.inFlight) return link.inFlight < other.inFlight;
  if (link.isNear !== other.isNear) return link.isNear;
  return link.servedAt < other.servedAt;
}

/** Serves the piece when the link was offered a slot or one is free; BUSY otherwise. */
export function answerRequest(member: Member, link: Link, piece: number): void {
  const to = link.member;
  const hash = member.hashes[piece];
  const wasOffered = link.offeredAt !== undefined;
  noteOutcome(member, link, 1);
  closeOffer(member, link);
  if (!hasPiece(member.told, piece) || hash === undefined) {
    decide(member, { kind: 'refuse', to, piece, why: 'gone' });
    offerSlots(member);
    return;
  }
  if (!wasOffered && member.uploading >= ownSlots(member)) {
    decide(member, { kind: 'refuse', to, piece, why: 'busy' });
    return;
  }
  const uploads = member.uploads.get(to) ?? [];
  uploads.push({ piece, since: member.now });
  member.uploads.set(to, uploads);
  beginSending(member.uplink, member.now);
  member.uploading++;
  link.servedAt = member.now;
  link.declined = 'nothing';
  decide(member, { kind: 'serve', to, piece, attestation: { hash, author: member.authors[piece] ?? member.self } });
  offerSlots(member);
}

/** An upload ended, one way or the other. */
export function endUpload(member: Member, link: Link, piece: number, isWhole: boolean): void {
  const uploads = member.uploads.get(link.member);
  const upload = uploads?.find((one) => one.piece === piece);
  if (!uploads || !upload) return;
  uploads.splice(uploads.indexOf(upload), 1);
  endSending(member.uplink, isWhole ? bytesOf(member, piece) : 0, member.now);
  member.offering.sendMs = lately(member.offering.sendMs, member.now - upload.since);
  member.uploading--;
  countSlots(member);
  link.inFlight = Math.max(0, link.inFlight - 1);
  offerSlots(member);
}

function bytesOf({ plan }: Member, piece: number): number {
  const { start, end } = pieceSpan(plan, piece);
  return end - start;
}

/** The link has no use for our offer. */
export function noteDecline(member: Member, link: Link, inFlight: number): void {
  noteOutcome(member, link, 0);
  closeOffer(member, link);
  noteInFlight(member, link, inFlight);
  link.declined = link.isInsisted ? 'all' : 'offer';
  offerSlots(member);
}

/** The link says how many transfers it has in flight: no fewer than we know of. */
export function noteInFlight(member: Member, link: Link, inFlight: number): void {
  link.inFlight = Math.max(inFlight, member.uploads.get(link.member)?.length ?? 0);
}

/** Takes back offers that nobody answered. */
export function expireOffers(member: Member): void {
  for (const link of member.links.values()) {
    if (link.offeredAt !== undefined && member.now - link.offeredAt > OFFER_MS) {
      closeOffer(member, link);
      link.declined = 'all';
    } else {
      link.declined = 'nothing';
    }
  }
}

function noteOutcome({ offering, now }: Member, { offeredAt }: Link, taken: 0 | 1): void {
  if (offeredAt === undefined) return;
  offering.takenShare = Math.max(TAKEN_SHARE_MIN, 0.9 * offering.takenShare + 0.1 * taken);
  const tookMs = now - offeredAt;
  offering.answerMs = lately(offering.answerMs, tookMs);
  const { leastAnswerMs: least } = offering;
  offering.leastAnswerMs = least === 0 ? tookMs : Math.min(tookMs, least + LEAST_RISES * (tookMs - least));
}

function lately(before: number, ms: number): number {
  return before === 0 ? ms : 0.9 * before + 0.1 * ms;
}

function closeOffer(member: Member, link: Link): void {
  if (link.offeredAt === undefined) return;
  link.offeredAt = undefined;
  member.offers--;
}

/** Forgets what went to a link that is gone. */
export function endUploads(member: Member, link: Link): void {
  closeOffer(member, link);
  const uploads = member.uploads.get(link.member) ?? [];
  for (const _ of uploads) endSending(member.uplink, 0, member.now);
  member.uploading -= uploads.length;
  member.uploads.delete(link.member);
}

/** The member does no more: the uplink that it shares with others has nothing of its on the way. */
export function leaveUplink(member: Member, now: number): void {
  member.now = now;
  member.uplink.coming -= member.transfers.length;
  member.transfers.length = 0;
  for (const link of member.links.values()) endUploads(member, link);
}

/** What other blobs leave of our slots: each would fill the uplink by itself, and none may wait for all others. */
export function ownSlots({ slots, uplink, uploading }: Member): number {
  return Math.max(1, slots - (uplink.sending - uploading));
}

/** Likewise of what may come to us. */
export function ownRoom({ room, uplink, transfers }: Member): number {
  return Math.max(ROOM_MIN, room - (uplink.coming - transfers.length));
}

/** As many slots as our uplink is worth beside a usual one, so that no one waits long for a slow uplink. */
export function countSlots(member: Member): void {
  const depth = depthOf(member);
  member.slots = Math.max(1, Math.min(SLOTS_MAX, Math.round(SLOTS * depth * compareUplink(member))));
  member.room = Math.round(IN_FLIGHT_USUAL * depth);
}

/** What waits behind our own bytes would wait longer behind more of them, so only the rest of an answer's time counts. */
function depthOf({ offering: { leastAnswerMs, sendMs } }: Member): number {
  if (sendMs === 0) return 1;
  return Math.min(DEPTH_FACTOR_MAX, 1 + (DEPTH_GAIN * (leastAnswerMs + HAVE_EVERY_MS / 2)) / sendMs);
}

function compareUplink({ uplink, usualUplink }: Member): number {
  if (uplink.bytesPerSecond === 0 || usualUplink === 0) return 1;
  const share = uplink.bytesPerSecond / usualUplink;
  return share * UPLINK_LIKE_FACTOR > 1 ? 1 : share;
}
