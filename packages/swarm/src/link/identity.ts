import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromPublicKey } from '@libp2p/peer-id';
import { generateCertificate } from '@libp2p/tls/utils';
import { type Element, elements, elementsIn } from './der.ts';
import { LinkFailure } from './reason.ts';

/** Who this member is on its links: a TLS certificate that carries its libp2p identity. */
export interface LinkIdentity {
  readonly member: string;
  readonly certificate: string;
  readonly key: string;
}

export async function linkIdentity(privateKey: PrivateKey): Promise<LinkIdentity> {
  const { cert, key } = await generateCertificate(privateKey);
  return { member: peerIdFromPrivateKey(privateKey).toString(), certificate: cert, key };
}

/** 1.3.6.1.4.1.53594.1.1, where the libp2p TLS specification puts the identity. */
const IDENTITY_EXTENSION = Buffer.from('2b0601040183a25a0101', 'hex');
const SIGNED_PREFIX = Buffer.from('libp2p-tls-handshake:');
/** A protobuf that says Ed25519, and that 32 bytes follow. */
const ED25519_MARK = Buffer.from('08011220', 'hex');
const CERTIFICATE_BYTES_MAX = 4096;

const TAG = { boolean: 0x01, octets: 0x04, object: 0x06, sequence: 0x30, extensions: 0xa3 };

/**
 * The member that a certificate proves, once TLS has shown that the other side has its key. Throws `certificate`.
 * A check without promises and by native code only: a stranger can have it done to us, so it must cost little.
 */
export function memberOf(certificate: Buffer | undefined, now: number): string {
  if (certificate === undefined) throw refusal('has no certificate');
  if (certificate.length > CERTIFICATE_BYTES_MAX) throw refusal('has too large a certificate');
  try {
    return provenMember(certificate, now);
  } catch (error) {
    if (error instanceof LinkFailure) throw error;
    throw new LinkFailure('certificate', 'has a certificate that cannot be read', { cause: error });
  }
}

function provenMember(raw: Buffer, now: number): string {
  const certificate = new X509Certificate(raw);
  const isCurrent = certificate.validFromDate.getTime() <= now && now <= certificate.validToDate.getTime();
  if (!isCurrent) throw refusal('has a certificate out of its time');
  if (!certificate.verify(certificate.publicKey)) throw refusal('has a certificate that it did not sign itself');
  const [publicKey, signature, ...more] = elements(identityIn(raw), TAG.sequence);
  const isPair = publicKey?.tag === TAG.octets && signature?.tag === TAG.octets && more.length === 0;
  const isEd25519 = isPair && publicKey.bytes.length === 36 && publicKey.bytes.subarray(0, 4).equals(ED25519_MARK);
  if (!isEd25519) throw refusal('has an identity that is no Ed25519 key');
  const point = publicKey.bytes.subarray(4);
  const key = createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') },
  });
  const signed = Buffer.concat([SIGNED_PREFIX, certificate.publicKey.export({ type: 'spki', format: 'der' })]);
  if (!verify(null, signed, key, signature.bytes)) throw refusal('has a certificate that its identity did not sign');
  return peerIdFromPublicKey(publicKeyFromRaw(point)).toString();
}

/** What the one extension with the identity holds. A critical one that means nothing to us must not be passed over. */
function identityIn(raw: Buffer): Buffer {
  const [body] = elements(raw, TAG.sequence);
  const tagged = elementsIn(body?.bytes ?? raw).find(({ tag }) => tag === TAG.extensions);
  const found: Buffer[] = [];
  for (const extension of tagged ? elements(tagged.bytes, TAG.sequence) : []) {
    const [name, ...rest] = elementsIn(extension.bytes);
    const value = rest.at(-1);
    if (name?.tag !== TAG.object || value?.tag !== TAG.octets) throw refusal('has a malformed extension');
    if (name.bytes.equals(IDENTITY_EXTENSION)) found.push(value.bytes);
    else if (isCritical(rest[0])) throw refusal('has an unknown critical extension');
  }
  const [identity, ...others] = found;
  if (identity === undefined || others.length > 0) throw refusal('has a certificate without a libp2p identity');
  return identity;
}

function isCritical(element: Element | undefined): boolean {
  return element?.tag === TAG.boolean && element.bytes[0] !== 0;
}

function refusal(why: string): LinkFailure {
  return new LinkFailure('certificate', why);
}
