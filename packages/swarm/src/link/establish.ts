import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { type LinkIdentity, memberOf } from './identity.ts';
import { type StartedLink, startLink } from './link.ts';
import { type Binding, encodeHello, exportedFrom, HELLO_BYTES, isProven, linkKeys, type Side } from './membership.ts';
import type { Feed } from './parser.ts';
import type { Reads } from './reads.ts';
import { LinkFailure } from './reason.ts';
import type { Link, LinkParts } from './types.ts';

/** TLS as links speak it, and nothing older or slower. */
export function linkContext({ certificate, key }: LinkIdentity): SecureContext {
  return createSecureContext({
    cert: certificate,
    key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    sigalgs: 'ecdsa_secp256r1_sha256',
    ecdhCurve: 'X25519',
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
}

export interface Connection {
  readonly parts: LinkParts;
  readonly socket: TLSSocket;
  readonly reads: Reads;
  readonly side: Side;
  /** Throws when this member is not to be linked with. */
  readonly check: (member: string) => void;
}

/**
 * A link over a connection, once TLS stands, the other side has proven its identity and then that it belongs to the
 * swarm; else the connection is destroyed and this throws. Nothing else is read or sent before.
 */
export async function establish(connection: Connection, signal: AbortSignal): Promise<Link> {
  const { socket, side } = connection;
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const onError = (error: Error) => reject(new LinkFailure('broken', 'the connection failed', { cause: error }));
  const onClose = () => reject(new LinkFailure('left', 'the connection was closed during the handshake'));
  const onAbort = () => reject(new LinkFailure('slow', 'the handshake took too long', { cause: signal.reason }));
  const onSecure = () => {
    try {
      prove(connection, resolve, reject);
    } catch (error) {
      reject(error);
    }
  };
  socket.on('error', onError);
  socket.on('close', onClose);
  socket.once(side === 'dialler' ? 'secureConnect' : 'secure', onSecure);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    return await promise;
  } catch (error) {
    connection.reads.stop();
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function prove(connection: Connection, resolve: (link: Link) => void, reject: (error: unknown) => void): void {
  const { parts, socket, reads, side, check } = connection;
  if (socket.isSessionReused()) throw new LinkFailure('certificate', 'resumed a session, which proves no identity');
  const member = memberOf(socket.getPeerX509Certificate()?.raw, Date.now());
  check(member);
  const own = parts.identity.member;
  const binding: Binding = {
    exported: exportedFrom(socket),
    dialler: side === 'dialler' ? own : member,
    acceptor: side === 'dialler' ? member : own,
  };
  const keys = linkKeys(parts.swarmKeys);
  const hello = Buffer.alloc(HELLO_BYTES);
  let filled = 0;
  let started: StartedLink | undefined;

  const take: Feed = (bytes) => {
    if (started) return started.feed(bytes);
    const part = bytes.subarray(0, HELLO_BYTES - filled);
    part.copy(hello, filled);
    filled += part.length;
    if (filled < HELLO_BYTES) return undefined;
    if (!isProven(hello, keys, side === 'dialler' ? 'acceptor' : 'dialler', binding))
      throw new LinkFailure('key', 'does not prove that it has the swarm key');
    if (side === 'acceptor') socket.write(encodeHello(keys, side, binding));
    started = startLink({ parts, socket, reads, side, member });
    resolve(started.link);
    const rest = bytes.subarray(part.length);
    return rest.length > 0 ? started.feed(rest) : undefined;
  };

  if (side === 'dialler') socket.write(encodeHello(keys, side, binding));
  reads.begin(socket, take, (error) => (started ? started.fail(error) : reject(error)));
}
