import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './process.ts';

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

export interface Authority {
  readonly certificate: Certificate;
  /** The machine's authorities and this one, for SSL_CERT_FILE. */
  readonly bundle: string;
}

/** Makes an authority that nobody else trusts, and a certificate of it for the given names. */
export async function makeAuthority(folder: string, names: readonly string[]): Promise<Authority> {
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => must('openssl', args);
  const days = ['-days', '30'];
  const rootFiles = ['-keyout', path('root.key'), '-out', path('root.crt')];
  await openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...rootFiles, ...days, '-subj', '/CN=lab');
  const files = ['-keyout', path('server.key'), '-out', path('server.csr')];
  await openssl('req', '-newkey', 'rsa:2048', '-nodes', ...files, '-subj', '/CN=lab server');
  writeFileSync(path('names'), `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`);
  const signer = ['-CA', path('root.crt'), '-CAkey', path('root.key'), '-CAcreateserial', '-extfile', path('names')];
  await openssl('x509', '-req', '-in', path('server.csr'), '-out', path('server.crt'), ...signer, ...days);
  const bundle = path('bundle.crt');
  writeFileSync(bundle, readFileSync(path('root.crt')));
  return { certificate: { key: readFileSync(path('server.key')), cert: readFileSync(path('server.crt')) }, bundle };
}
