import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';

/** For how long a certificate holds, in milliseconds since the epoch. */
export interface Validity {
  readonly from: number;
  readonly until: number;
}

const SERIAL_BYTES = 16;
const KEY_ID_BYTES = 20;

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  object: 0x06,
  text: 0x0c,
  shortTime: 0x17,
  longTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** A name of a host in a list of names. */
  hostName: 0x82,
  hostAddress: 0x87,
  version: 0xa0,
  extensions: 0xa3,
} as const;

const OBJECT = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  subjectKeyId: '551d0e',
  keyUsage: '551d0f',
  hostNames: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  authorityKeyId: '551d23',
  extendedKeyUsage: '551d25',
  serverAuth: '2b06010505070301',
} as const;

const SIGNS_CERTIFICATES = Buffer.from('0204', 'hex');
const SIGNS_HANDSHAKES = Buffer.from('0780', 'hex');

/**
 * An authority's certificate over its own key, in PEM: good for TLS servers with these host names and addresses, the names
 * below them, and nothing else. One key always has one name, so what an earlier certificate of it vouches for stays good.
 */
export function authorityCertificate(key: KeyObject, hosts: readonly string[], validity: Validity): string {
  const publicKey = createPublicKey(key);
  const name = authorityName(publicKey);
  const isAuthority = der(TAG.sequence, der(TAG.boolean, Buffer.from([0xff])), der(TAG.integer, Buffer.from([0])));
  return signed(key, { issuer: name, subject: name, publicKey, validity }, [
    critical(OBJECT.basicConstraints, isAuthority),
    critical(OBJECT.keyUsage, der(TAG.bits, SIGNS_CERTIFICATES)),
    extension(OBJECT.extendedKeyUsage, der(TAG.sequence, object(OBJECT.serverAuth))),
    extension(OBJECT.subjectKeyId, der(TAG.octets, keyId(publicKey))),
    critical(OBJECT.nameConstraints, constraintsTo(hosts)),
  ]);
}

/** A certificate for one host, in PEM, signed by the authority of this key. */
export function hostCertificate(key: KeyObject, host: string, publicKey: KeyObject, validity: Validity): string {
  const authority = createPublicKey(key);
  const name = isIP(host) ? der(TAG.hostAddress, addressBytes(host)) : der(TAG.hostName, Buffer.from(host));
  const subject = named('drayage proxy');
  return signed(key, { issuer: authorityName(authority), subject, publicKey, validity }, [
    critical(OBJECT.keyUsage, der(TAG.bits, SIGNS_HANDSHAKES)),
    extension(OBJECT.extendedKeyUsage, der(TAG.sequence, object(OBJECT.serverAuth))),
    extension(OBJECT.authorityKeyId, der(TAG.sequence, der(0x80, keyId(authority)))),
    extension(OBJECT.hostNames, der(TAG.sequence, name)),
  ]);
}

/** A kind of name that is not listed would be free, so where there are none of a kind, all of it is excluded. */
function constraintsTo(hosts: readonly string[]): Buffer {
  const names = hosts.filter((host) => isIP(host) === 0).map((host) => der(TAG.hostName, Buffer.from(host)));
  const addresses = hosts
    .filter((host) => isIP(host) !== 0)
    .map((host) => addressBytes(host))
    .map((bytes) => der(TAG.hostAddress, bytes, Buffer.alloc(bytes.length, 0xff)));
  const noNames = names.length > 0 ? [] : [der(TAG.hostName)];
  const noAddresses = addresses.length > 0 ? [] : [4, 16].map((bytes) => der(TAG.hostAddress, Buffer.alloc(2 * bytes)));
  const trees = (tag: number, bases: readonly Buffer[]) =>
    bases.length === 0 ? [] : [der(tag, ...bases.map((base) => der(TAG.sequence, base)))];
  return der(TAG.sequence, ...trees(0xa0, [...names, ...addresses]), ...trees(0xa1, [...noNames, ...noAddresses]));
}

interface Subject {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
}

function signed(key: KeyObject, about: Subject, extensions: readonly Buffer[]): string {
  const algorithm = der(TAG.sequence, object(OBJECT.ecdsaWithSha256));
  const serial = randomBytes(SERIAL_BYTES);
  // A positive number whose first byte is not zero.
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  const body = der(
    TAG.sequence,
    der(TAG.version, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    about.issuer,
    der(TAG.sequence, time(about.validity.from), time(about.validity.until)),
    about.subject,
    about.publicKey.export({ type: 'spki', format: 'der' }),
    der(TAG.extensions, der(TAG.sequence, ...extensions)),
  );
  const signature = der(TAG.bits, Buffer.from([0]), sign('sha256', body, key));
  return pem(der(TAG.sequence, body, algorithm, signature));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function authorityName(publicKey: KeyObject): Buffer {
  return named(`drayage proxy authority ${keyId(publicKey).toString('hex', 0, 8)}`);
}

function keyId(publicKey: KeyObject): Buffer {
  const whole = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
  return whole.subarray(0, KEY_ID_BYTES);
}

function named(commonName: string): Buffer {
  const name = der(TAG.sequence, object(OBJECT.commonName), der(TAG.text, Buffer.from(commonName)));
  return der(TAG.sequence, der(TAG.set, name));
}

function extension(name: string, value: Buffer): Buffer {
  return der(TAG.sequence, object(name), der(TAG.octets, value));
}

/** One that whoever does not understand it must refuse. */
function critical(name: string, value: Buffer): Buffer {
  return der(TAG.sequence, object(name), der(TAG.boolean, Buffer.from([0xff])), der(TAG.octets, value));
}

function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replaceAll(/[-T:]|\.\d+/g, '');
  const isShort = Number(digits.slice(0, 4)) < 2050;
  return der(isShort ? TAG.shortTime : TAG.longTime, Buffer.from(isShort ? digits.slice(2) : digits));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  const all = [...groups(head), ...zeros, ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function object(hex: string): Buffer {
  return der(TAG.object, Buffer.from(hex, 'hex'));
}

/** One element, as the distinguished encoding rules write it. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length]), bytes, body]);
}
