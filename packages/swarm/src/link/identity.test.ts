import { X509Certificate } from 'node:crypto';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { type CertificateParts, fakeCertificate, fakeIdentity, IDENTITY_NAME } from './fake-certificate.ts';
import { linkIdentity, memberOf } from './identity.ts';

const PREFIX = Buffer.from('libp2p-tls-handshake:');
const OTHER_NAME = Buffer.from('2b0601040183a25a0102', 'hex');

function signedFor(spki: Buffer): Buffer {
  return fakeIdentity(Buffer.concat([PREFIX, spki]));
}

test('the member is whoever signed the key of the certificate', async () => {
  const privateKey = await generateKeyPair('Ed25519');
  const { member, certificate } = await linkIdentity(privateKey);
  expect(member).toBe(peerIdFromPrivateKey(privateKey).toString());
  expect(memberOf(new X509Certificate(certificate).raw, Date.now())).toBe(member);
});

test('a certificate whose identity is of another kind than Ed25519 proves nothing', async () => {
  const { certificate } = await linkIdentity(await generateKeyPair('secp256k1'));
  expect(() => memberOf(new X509Certificate(certificate).raw, Date.now())).toThrow('no Ed25519 key');
});

const cases: [what: string, why: string | undefined, parts: CertificateParts][] = [
  ['as it should be', undefined, { extensions: (spki) => [{ name: IDENTITY_NAME, value: signedFor(spki) }] }],
  ['plain', 'without a libp2p identity', { extensions: () => [] }],
  [
    'of another key',
    'its identity did not sign',
    { extensions: () => [{ name: IDENTITY_NAME, value: signedFor(Buffer.from('another')) }] },
  ],
  [
    'with two identities',
    'without a libp2p identity',
    { extensions: (spki) => [spki, spki].map((each) => ({ name: IDENTITY_NAME, value: signedFor(each) })) },
  ],
  [
    'with an unknown critical extension',
    'unknown critical extension',
    {
      extensions: (spki) => [
        { name: IDENTITY_NAME, value: signedFor(spki) },
        { name: OTHER_NAME, value: Buffer.of(5, 0), isCritical: true },
      ],
    },
  ],
  [
    'out of its time',
    'out of its time',
    { extensions: (spki) => [{ name: IDENTITY_NAME, value: signedFor(spki) }], notAfter: '20210101000000Z' },
  ],
  [
    'with an identity that is no DER',
    'cannot be read',
    { extensions: () => [{ name: IDENTITY_NAME, value: Buffer.of(0x30, 0x7f, 1) }] },
  ],
];

test.each(cases)('a certificate %s', (_what, why, parts) => {
  const { raw } = new X509Certificate(fakeCertificate(parts).certificate);
  if (why === undefined) expect(memberOf(raw, Date.now())).toMatch(/^12D3Koo/);
  else expect(() => memberOf(raw, Date.now())).toThrow(why);
});

test('a certificate in which any byte was changed never proves the same member', async () => {
  const { member, certificate } = await linkIdentity(await generateKeyPair('Ed25519'));
  const { raw } = new X509Certificate(certificate);
  for (let at = 0; at < raw.length; at++) {
    const changed = Buffer.from(raw);
    changed[at] = (changed[at] ?? 0) ^ 1;
    let proven: string | undefined;
    try {
      proven = memberOf(changed, Date.now());
    } catch {
      // Refused, as it should be.
    }
    expect(proven, `byte ${at}`).not.toBe(member);
  }
});

test('what is no certificate is refused in the same way', () => {
  const failure = expect.objectContaining({ reason: 'certificate' });
  for (const bytes of [undefined, Buffer.alloc(0), Buffer.alloc(100), Buffer.alloc(5000)]) {
    expect(() => memberOf(bytes, Date.now())).toThrow(failure);
  }
});
