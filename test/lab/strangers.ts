import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { type FakeMember, fakeCertificate, fakeMember } from '@drayage/swarm/testing';
import type { Host } from './hosts.ts';
import { identityOf } from './members.ts';
import { LINK_PORT, SWARM_PORT } from './swarm-options.ts';

/** Whoever proves nothing may be let wait, but not for good. */
const ATTEMPT_WAIT_MS = 20_000;
const NOISE_BYTES = 200;
/** What may come back in the clear: an alert of TLS, or a no to a protocol. */
const REFUSAL_BYTES_MAX = 64;
/** 1.3.6.1.4.1.53594.1.1, where a certificate carries the identity of its member. */
const IDENTITY_NAME = Buffer.from('2b0601040183a25a0101', 'hex');

/** One way to try to get in. Resolves with what was read once TLS stood, which should be nothing, and whether it got in. */
interface Attempt {
  readonly name: string;
  run(host: Host): Promise<{ readonly bytes: number; readonly isIn: boolean }>;
}

/** Strangers of every kind. */
export async function strangers(hosts: readonly Host[]): Promise<Strangers> {
  const foreigner = await fakeMember({ swarmKeys: [randomBytes(32)] });
  const members = new Map<Host, string>();
  for (const host of hosts) members.set(host, (await identityOf(host)) ?? '');
  const [first] = hosts;
  if (!first) throw new Error('nobody to be a stranger to');
  const stolen = identityIn(await certificateOf(first));
  // Made once: who makes a key for every attempt is slower than those who refuse it.
  const nameless = fakeCertificate({ extensions: () => [] });
  const thief = fakeCertificate({ extensions: () => [{ name: IDENTITY_NAME, value: stolen }] });
  const attempts: Attempt[] = [
    {
      name: 'noise on the swarm port',
      run: ({ address }) => shout(connectSocket(SWARM_PORT, address), REFUSAL_BYTES_MAX),
    },
    {
      name: 'noise on the link port',
      run: ({ address }) => shout(connectSocket(LINK_PORT, address), REFUSAL_BYTES_MAX),
    },
    { name: 'no certificate', run: ({ address }) => knock(address, {}) },
    { name: 'a certificate without an identity', run: ({ address }) => knock(address, nameless) },
    { name: "a certificate with another member's identity", run: ({ address }) => knock(address, thief) },
    { name: 'a member of another swarm', run: (host) => dial(foreigner, host, members.get(host) ?? '') },
  ];
  return { attempts, [Symbol.asyncDispose]: () => foreigner[Symbol.asyncDispose]() };
}

export interface Strangers extends AsyncDisposable {
  readonly attempts: readonly Attempt[];
}

async function knock(
  host: string,
  identity: { readonly certificate?: string; readonly key?: string },
): ReturnType<Attempt['run']> {
  const { certificate: cert, key } = identity;
  return await shout(connect({ host, port: LINK_PORT, cert, key, rejectUnauthorized: false }));
}

/** Says what means nothing, and counts what comes until the other side hangs up or the time is over. */
async function shout(socket: Socket | TLSSocket, refusalBytesMax = 0): ReturnType<Attempt['run']> {
  let bytes = 0;
  let isIn = false;
  socket.on('error', () => {});
  socket.on('data', (part: Buffer) => {
    bytes += part.length;
  });
  socket.setTimeout(ATTEMPT_WAIT_MS, () => {
    isIn = true;
    socket.destroy();
  });
  socket.write(randomBytes(NOISE_BYTES));
  // A reset is an answer too.
  await new Promise((resolve) => socket.once('close', resolve));
  return { bytes: Math.max(0, bytes - refusalBytesMax), isIn };
}

async function dial(foreigner: FakeMember, { address }: Host, member: string): ReturnType<Attempt['run']> {
  try {
    const link = await foreigner.dial(foreigner, { member, host: address, port: LINK_PORT });
    link.end('closed');
    return { bytes: link.rates().receivedBytes, isIn: true };
  } catch {
    return { bytes: 0, isIn: false };
  }
}

/** What anybody can see of a host's certificate. */
async function certificateOf({ address }: Host): Promise<Buffer> {
  const socket = connect({ host: address, port: LINK_PORT, rejectUnauthorized: false });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (!certificate) throw new Error('the host shows no certificate');
  return certificate.raw;
}

/** The extension's value: an octet string behind its name, and perhaps a mark that it is critical. */
function identityIn(certificate: Buffer): Buffer {
  let at = certificate.indexOf(IDENTITY_NAME) + IDENTITY_NAME.length;
  if (certificate[at] === 0x01) at += 3;
  if (certificate[at] !== 0x04) throw new Error('the certificate is not written as expected');
  const short = certificate[at + 1] ?? 0;
  const start = short < 0x80 ? at + 2 : at + 2 + (short & 0x7f);
  const length = short < 0x80 ? short : certificate.readUIntBE(at + 2, short & 0x7f);
  return certificate.subarray(start, start + length);
}
