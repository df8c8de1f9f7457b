import type { MemberId } from '@drayage/exchange';
import type { Carrier } from './carrier.ts';
import type { Listener } from './mesh.ts';
import type { Inside } from './part-types.ts';

/** Offers of one member that are looked at before there was time to answer: it has no more slots to offer. */
const OFFERS_MAX = 16;

/** Turns what links say of one blob into events of its exchange. */
export function listenerOf({ plan, step }: Inside, { neighbours, downloads }: Carrier): Listener {
  const isPiece = (piece: number) => piece < plan.count;
  const mayOffer = offersIn();
  return {
    opened: neighbours.opened,
    closed: neighbours.closed,
    ended: neighbours.ended,
    has(link, channel, pieces, inFlight) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour) step({ kind: 'have', link: neighbour.id, pieces: [...pieces].filter(isPiece), inFlight });
    },
    lost(link, channel, pieces) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour) step({ kind: 'lost', link: neighbour.id, pieces: [...pieces].filter(isPiece) });
    },
    offered(link, channel, insists) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour && mayOffer(neighbour.id)) step({ kind: 'offered', link: neighbour.id, insists });
    },
    declined(link, channel, inFlight) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour) step({ kind: 'declined', link: neighbour.id, inFlight });
    },
    wants(link, { channel, piece, inFlight }) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour && isPiece(piece)) step({ kind: 'asked', link: neighbour.id, piece, inFlight });
      else link.gone(channel, piece);
    },
    cancelled(link, channel, piece) {
      const neighbour = neighbours.byTheirs(link, channel);
      if (neighbour) step({ kind: 'sent', link: neighbour.id, piece, isWhole: false });
    },
    arrived(link, part) {
      const neighbour = neighbours.byOwn(link, part.channel);
      if (neighbour) downloads.arrived(neighbour, part);
      return undefined;
    },
    refused(link, channel, piece, why) {
      const neighbour = neighbours.byOwn(link, channel);
      if (neighbour) downloads.refused(neighbour, piece, why);
    },
  };
}

/** Each offer has all the pieces looked through: a flood of them is dropped, since nobody waits for what it did not hear. */
function offersIn(): (member: MemberId) => boolean {
  const offers = new Map<MemberId, number>();
  return (member) => {
    if (offers.size === 0) setImmediate(() => offers.clear());
    const count = (offers.get(member) ?? 0) + 1;
    offers.set(member, count);
    return count <= OFFERS_MAX;
  };
}
