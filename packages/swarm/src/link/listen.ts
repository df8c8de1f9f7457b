import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { describe } from '@drayage/core';
import { type Door, type DoorLimits, openDoor } from './door.ts';
import { establish, linkContext } from './establish.ts';
import { readReused, reusedReads } from './reads.ts';
import { failureOf, LinkFailure } from './reason.ts';
import type { Link, LinkParts } from './types.ts';

export interface ListenParts extends LinkParts {
  readonly host: string;
  readonly port: number;
  /** Whether this member may link now. Asked before it has proven to belong to the swarm. */
  readonly admits: (member: string) => boolean;
  readonly doorLimits: DoorLimits;
}

/** Accepts links until it is disposed of, which ends those it accepted. */
export interface LinkListener extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

interface Entry {
  readonly parts: ListenParts;
  readonly context: SecureContext;
  readonly door: Door;
  readonly links: Set<Link>;
  readonly signal: AbortSignal;
}

export async function listenForLinks(parts: ListenParts): Promise<LinkListener> {
  const stop = new AbortController();
  const links = new Set<Link>();
  const door = openDoor(parts.doorLimits, () => performance.now());
  const entry: Entry = { parts, context: linkContext(parts.identity), door, links, signal: stop.signal };
  const server = createServer({ noDelay: true }, (raw) => void letIn(raw, entry));
  server.listen(parts.port, parts.host);
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  return {
    host: address,
    port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      stop.abort();
      await Promise.all([...links].map((link) => link[Symbol.asyncDispose]()));
      await closed;
    },
  };
}

/** Never throws: whoever is refused is reported. */
async function letIn(raw: Socket, { parts, context, door, links, signal }: Entry): Promise<void> {
  const address = raw.remoteAddress ?? 'unknown';
  // The TLS socket above it tells why; without a listener, a reset would end the process.
  raw.on('error', () => {});
  const refusal = door.enter(address);
  if (refusal) {
    raw.resetAndDestroy();
    const problem = refusal === 'crowded' ? 'too many handshakes at once' : 'too many failed handshakes';
    return parts.report({ kind: 'link_refused', address, reason: refusal, problem });
  }
  let isMember = false;
  try {
    const reads = reusedReads();
    const socket = new TLSSocket(raw, {
      ...{ isServer: true, secureContext: context },
      // Any certificate is let through to be asked for the identity in it, which is checked by hand.
      ...{ requestCert: true, rejectUnauthorized: false },
    });
    readReused(socket, reads);
    const check = (member: string) => {
      if (!parts.admits(member)) throw new LinkFailure('denied', 'this member may not link');
    };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(parts.limits.handshakeMs)]);
    const link = await establish({ parts, socket, reads, side: 'acceptor', check }, limit);
    isMember = true;
    if (signal.aborted) link.end('closed');
    links.add(link);
    socket.once('close', () => links.delete(link));
  } catch (error) {
    const failure = failureOf(error, 'broken', 'the handshake failed');
    if (signal.aborted) return;
    parts.report({ kind: 'link_refused', address, reason: failure.reason, problem: describe(failure) });
  } finally {
    door.leave(address, isMember);
  }
}
