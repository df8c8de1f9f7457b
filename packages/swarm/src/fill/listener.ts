import type { Carrier } from './carrier.ts';
import type { Listener } from './mesh.ts';
import type { Inside } from './part-types.ts';

/** Turns what links say of one blob into events of its exchange. */
export function listenerOf({ plan, step }: Inside, { neighbours, downloads }: Carrier): Listener {
  const isPiece = (piece: number) => piece < plan.count;
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
      if (neighbour) step({ kind: 'offered', link: neighbour.id, insists });
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
      if (neighbour) step({ kind: 'sent', link: neighbour.id, piece });
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
