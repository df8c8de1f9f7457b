import { X509Certificate } from 'node:crypto';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempFile } from '../origin/temp-file.ts';
import { openIssuer } from './issuer.ts';

const HOSTS = ['registry.example.com', '192.0.2.7'];
const YEAR_MS = 365 * 24 * 3600 * 1000;

test('the key is made once, for its owner alone, and the certificate stays', async () => {
  await using temp = await tempFile('');
  const folder = join(temp.folder, 'proxy');
  const first = await openIssuer({ folder, hosts: HOSTS, now: Date.now });
  await chmod(join(folder, 'ca.key'), 0o644);
  const again = await openIssuer({ folder, hosts: HOSTS.toReversed(), now: Date.now });
  expect(again.certificate).toBe(first.certificate);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder, 'ca.key'))).mode & 0o777).toBe(0o600);
  expect(await readFile(join(folder, 'ca.crt'), 'utf8')).toBe(first.certificate);
});

test.each([
  ['other hosts', [...HOSTS, 'quay.io'], 0],
  ['little time left', HOSTS, 9.5 * YEAR_MS],
  ['a damaged file', HOSTS, 0],
])('with %s there is a new certificate of the same key', async (what, hosts, later) => {
  await using temp = await tempFile('');
  const { folder } = temp;
  const first = await openIssuer({ folder, hosts: HOSTS, now: Date.now });
  if (what === 'a damaged file') await writeFile(join(folder, 'ca.crt'), first.certificate.slice(0, 300));
  const second = await openIssuer({ folder, hosts, now: () => Date.now() + later });
  expect(second.certificate).not.toBe(first.certificate);
  const [one, other] = [first, second].map(({ certificate }) => new X509Certificate(certificate));
  expect(other?.subject).toBe(one?.subject);
  expect(other?.publicKey.equals(one?.publicKey ?? other.publicKey)).toBe(true);
});

test('it speaks for its hosts only, with one certificate a day', async () => {
  await using temp = await tempFile('');
  let now = Date.now();
  const issuer = await openIssuer({ folder: temp.folder, hosts: HOSTS, now: () => now });
  expect(() => issuer.contextFor('evil.test')).toThrow('evil.test');
  const first = issuer.contextFor('registry.example.com');
  expect(issuer.contextFor('registry.example.com')).toBe(first);
  now += 25 * 3600 * 1000;
  expect(issuer.contextFor('registry.example.com')).not.toBe(first);
});

test('a folder that cannot be written is said so', async () => {
  await using temp = await tempFile('');
  const opened = openIssuer({ folder: join(temp.path, 'below-a-file'), hosts: HOSTS, now: Date.now });
  await expect(opened).rejects.toMatchObject({ code: 'disk_failed' });
});
