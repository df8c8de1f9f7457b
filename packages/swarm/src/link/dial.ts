import { connect } from 'node:tls';
import { establish, linkContext } from './establish.ts';
import { reusedReads } from './reads.ts';
import { LinkFailure } from './reason.ts';
import type { Link, LinkParts } from './types.ts';

/** A member, and where it says its links are accepted. */
export interface DialTarget {
  readonly member: string;
  readonly host: string;
  readonly port: number;
}

/** Links with a member, and with no other that answers at its address. Throws a `LinkFailure`. */
export async function dialLink(
  parts: LinkParts,
  { member, host, port }: DialTarget,
  signal: AbortSignal,
): Promise<Link> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(parts.limits.handshakeMs)]);
  const reads = reusedReads();
  const socket = connect({
    ...{ host, port, onread: reads.onread },
    secureContext: linkContext(parts.identity),
    // Its certificate is its own; what counts is the identity in it, which is checked by hand.
    rejectUnauthorized: false,
  });
  socket.setNoDelay(true);
  const check = (found: string) => {
    if (found !== member) throw new LinkFailure('identity', `another member answers at the address of ${member}`);
  };
  return await establish({ parts, socket, reads, side: 'dialler', check }, limit);
}
