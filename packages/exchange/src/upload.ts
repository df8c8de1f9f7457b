import { hasMoreThan, hasPiece } from './bitmap.ts';
import { IN_FLIGHT_MAX, IN_FLIGHT_USUAL, OFFER_MS, SLOTS, SLOTS_MAX } from './limits.ts';
import { decide, type Link, type Member } from './member-state.ts';

/**
 * Offers free slots to the links that can use them: the one with the fewest transfers in flight first. A link that has
 * enough is left alone, unless most of our slots are free.
 */
export function offerSlots(member: Member): void {
  while (member.uploading + member.offers < member.slots) {
    const mayInsist = 2 * (member.uploading + member.offers) < member.slots;
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

/** Ties go to the nearer, then to the one that was served least recently. */
function nextServed(member: Member, insists: boolean): Link | undefined {
  const most = insists ? IN_FLIGHT_MAX : IN_FLIGHT_USUAL;
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
  if (link.inFlight !== other.inFlight) return link.inFlight < other.inFlight;
  if (link.isNear !== other.isNear) return link.isNear;
  return link.servedAt < other.servedAt;
}

/** Serves the piece when the link was offered a slot or one is free; BUSY otherwise. */
export function answerRequest(member: Member, link: Link, piece: number): void {
  const to = link.member;
  const hash = member.hashes[piece];
  const wasOffered = link.offeredAt !== undefined;
  closeOffer(member, link);
  if (!hasPiece(member.told, piece) || hash === undefined) {
    decide(member, { kind: 'refuse', to, piece, why: 'gone' });
    offerSlots(member);
    return;
  }
  if (!wasOffered && member.uploading + member.offers >= member.slots) {
    decide(member, { kind: 'refuse', to, piece, why: 'busy' });
    return;
  }
  const pieces = member.uploads.get(to) ?? [];
  pieces.push(piece);
  member.uploads.set(to, pieces);
  member.uploading++;
  link.servedAt = member.now;
  link.declined = 'nothing';
  decide(member, { kind: 'serve', to, piece, attestation: { hash, author: member.authors[piece] ?? member.self } });
  offerSlots(member);
}

/** An upload ended, one way or the other. */
export function endUpload(member: Member, link: Link, piece: number): void {
  const pieces = member.uploads.get(link.member);
  const at = pieces?.indexOf(piece) ?? -1;
  if (!pieces || at < 0) return;
  pieces.splice(at, 1);
  member.uploading--;
  link.inFlight = Math.max(0, link.inFlight - 1);
  offerSlots(member);
}

/** The link has no use for our offer. */
export function noteDecline(member: Member, link: Link, inFlight: number): void {
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

function closeOffer(member: Member, link: Link): void {
  if (link.offeredAt === undefined) return;
  link.offeredAt = undefined;
  member.offers--;
}

/** Forgets what went to a link that is gone. */
export function endUploads(member: Member, link: Link): void {
  closeOffer(member, link);
  member.uploading -= member.uploads.get(link.member)?.length ?? 0;
  member.uploads.delete(link.member);
}

/** As many slots as our uplink is worth beside those of our links, so that no one waits long for a slow uplink. */
export function countSlots(member: Member): void {
  const own = member.uplinkBytesPerSecond;
  const others = [...member.links.values()]
    .map((link) => link.uplinkBytesPerSecond)
    .filter((uplink) => uplink > 0)
    .sort((a, b) => a - b);
  const usual = others[others.length >>> 1];
  const share = own > 0 && usual !== undefined ? own / usual : 1;
  member.slots = Math.max(1, Math.min(SLOTS_MAX, Math.round((SLOTS * share) / member.blobs)));
}
