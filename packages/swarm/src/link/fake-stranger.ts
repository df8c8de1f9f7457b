import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { type FakeMember, SWARM_KEY } from './fake-member.ts';
import { type LinkIdentity, linkIdentity } from './identity.ts';
import { encodeHello, exportedFrom, HELLO_BYTES, linkKeys } from './membership.ts';

/** A bare TLS connection to where a member accepts links. */
export async function stranger(
  { listener }: FakeMember,
  identity: Partial<Pick<LinkIdentity, 'certificate' | 'key'>> = {},
): Promise<TLSSocket> {
  const { host, port } = listener;
  const socket = connect({ host, port, cert: identity.certificate, key: identity.key, rejectUnauthorized: false });
  socket.on('error', () => {});
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
  return socket;
}

/** A connection that proves its membership, and then says whatever it is made to say. */
export async function rogueMember(member: FakeMember): Promise<TLSSocket> {
  const identity = await linkIdentity(await generateKeyPair('Ed25519'));
  const socket = await stranger(member, identity);
  socket.write(helloOf(socket, identity, member));
  let read = 0;
  while (read < HELLO_BYTES) read += (await once(socket, 'data'))[0].length;
  socket.pause();
  return socket;
}

export function helloOf(socket: TLSSocket, { member }: LinkIdentity, { parts }: FakeMember): Buffer {
  const binding = { exported: exportedFrom(socket), dialler: member, acceptor: parts.identity.member };
  return encodeHello(linkKeys([SWARM_KEY]), 'dialler', binding);
}
