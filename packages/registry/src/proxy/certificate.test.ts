import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempFile } from '../origin/temp-file.ts';
import { authorityCertificate, hostCertificate } from './certificate.ts';

const DAY_MS = 24 * 3600 * 1000;
const VALIDITY = { from: Date.now() - DAY_MS, until: Date.now() + DAY_MS };
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const make = (host: string, validity = VALIDITY) => hostCertificate(key, host, own.publicKey, validity);

/** What OpenSSL makes of a host's certificate under an authority for these hosts. */
async function verdict(hosts: readonly string[], host: string, made = make(host)): Promise<string> {
  await using temp = await tempFile(made);
  const authority = join(temp.folder, 'ca.crt');
  await writeFile(authority, authorityCertificate(key, hosts, VALIDITY));
  const named = /^[\d.]+$|:/.test(host) ? ['-verify_ip', host] : ['-verify_hostname', host];
  const words = ['verify', '-x509_strict', '-purpose', 'sslserver', '-no-CApath', '-CAfile', authority];
  try {
    execFileSync('openssl', [...words, ...named, temp.path], { stdio: 'pipe' });
    return 'good';
  } catch (error) {
    return String((error as { stderr: Buffer }).stderr);
  }
}

test.each(['registry.example.com', '192.0.2.7', 'fd12::7'])('OpenSSL accepts the certificate of %s', async (host) => {
  expect(await verdict(['registry.example.com', '192.0.2.7', 'fd12::7'], host)).toBe('good');
});

test('an authority for hundreds of hosts can be read', async () => {
  const many = Array.from({ length: 500 }, (_, at) => `registry-${at}.example.com`);
  expect(await verdict(many, 'registry-499.example.com')).toBe('good');
});

test.each([
  [['registry.example.com'], 'evil.test'],
  [['registry.example.com'], 'example.com'],
  [['registry.example.com'], '192.0.2.7'],
  [['registry.example.com'], 'fd12::7'],
  [['192.0.2.7'], '192.0.2.8'],
  [['192.0.2.7'], 'registry.example.com'],
])('an authority for %s is none for %s, even in the hands of a thief', async (hosts, host) => {
  expect(await verdict(hosts, host)).toMatch(/permitted subtree|excluded subtree/);
});

test('what has expired is refused', async () => {
  const past = { from: VALIDITY.from - 2 * DAY_MS, until: VALIDITY.from };
  expect(await verdict(['registry.example.com'], 'registry.example.com', make('registry.example.com', past))).toMatch(
    /expired/,
  );
});

test('a host certificate is no authority, and says what it is', () => {
  const certificate = new X509Certificate(make('registry.example.com'));
  expect(certificate.ca).toBe(false);
  expect(certificate.subjectAltName).toBe('DNS:registry.example.com');
  expect(certificate.verify(createPublicKey(key))).toBe(true);
  expect(Math.abs(certificate.validToDate.getTime() - VALIDITY.until)).toBeLessThan(1000);
  expect(new X509Certificate(authorityCertificate(key, ['a.test'], VALIDITY)).ca).toBe(true);
});

test('a time past 2049 is written as such', () => {
  const late = { from: Date.UTC(2049, 11, 31), until: Date.UTC(2051, 0, 1) };
  expect(new X509Certificate(make('a.test', late)).validToDate.getTime()).toBe(late.until);
});
