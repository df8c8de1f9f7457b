import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface CertificateParts {
  /** The extensions, each as OID, value, and whether it is critical. */
  readonly extensions: (spki: Buffer) => readonly Extension[];
  readonly notAfter?: string;
}

interface Extension {
  readonly name: Buffer;
  readonly value: Buffer;
  readonly isCritical?: boolean;
}

export const IDENTITY_NAME: Buffer = Buffer.from('2b0601040183a25a0101', 'hex');

/** A self-signed certificate, written out by hand so that anything can be wrong with it. */
export function fakeCertificate({ extensions, notAfter = '20491231235959Z' }: CertificateParts): {
  certificate: string;
  key: string;
} {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = der(0x30, der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  const validity = der(0x30, der(0x18, Buffer.from('20200101000000Z')), der(0x18, Buffer.from(notAfter)));
  const list = extensions(spki).map(({ name, value, isCritical }) =>
    der(0x30, der(0x06, name), isCritical ? der(0x01, Buffer.of(0xff)) : Buffer.alloc(0), der(0x04, value)),
  );
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(7)])),
    algorithm,
    der(0x30),
    validity,
    der(0x30),
    spki,
    list.length > 0 ? der(0xa3, der(0x30, ...list)) : Buffer.alloc(0),
  );
  const signature = sign('sha256', body, privateKey);
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.of(0), signature));
  const text = whole.toString('base64').replaceAll(/.{64}/g, '$&\n');
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** What the identity extension holds, signed by a new Ed25519 key over these bytes. */
export function fakeIdentity(signed: Buffer, mark: Buffer = Buffer.from('08011220', 'hex')): Buffer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  return der(0x30, der(0x04, Buffer.concat([mark, point])), der(0x04, sign(null, signed, privateKey)));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const { length } = Buffer.concat(parts);
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), ...parts]);
}
