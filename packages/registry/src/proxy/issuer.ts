import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { Failure } from '@drayage/core';
import { authorityCertificate, hostCertificate } from './certificate.ts';

/** The authority that the proxy's certificates come from. */
export interface Issuer {
  /** What runtimes have to trust, in PEM. */
  readonly certificate: string;
  /** A TLS server's side for one of its hosts. */
  contextFor(host: string): SecureContext;
}

export interface IssuerParts {
  /** Where the key and the certificate are kept. */
  readonly folder: string;
  /** The only hosts it may vouch for. */
  readonly hosts: readonly string[];
  readonly now: () => number;
}

const DAY_MS = 24 * 3600 * 1000;
const AUTHORITY_MS = 10 * 365 * DAY_MS;
/** With less left than this, a new one is made: whoever sets up a runtime then gets that. */
const AUTHORITY_LEFT_MS_MIN = 365 * DAY_MS;
const HOST_MS = 2 * DAY_MS;
const HOST_RENEWED_MS = DAY_MS;
/** A clock that was set back must not make a certificate one of the future. */
const CLOCK_BACK_MS = DAY_MS;

/** Opens the authority of a folder; the first time, makes its key. Throws `disk_failed` when that cannot be kept to itself. */
export async function openIssuer({ folder, hosts, now }: IssuerParts): Promise<Issuer> {
  const allowed = new Set(hosts);
  const files = { key: join(folder, 'ca.key'), certificate: join(folder, 'ca.crt'), hosts: join(folder, 'ca.hosts') };
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const key = await readKey(files.key);
    const certificate = await readCertificate(key, files, { hosts, now });
    return issuing(key, { certificate, allowed, now });
  } catch (error) {
    throw new Failure('disk_failed', `the proxy's authority cannot be kept in ${folder}`, { cause: error });
  }
}

interface Issuing {
  readonly certificate: string;
  readonly allowed: ReadonlySet<string>;
  readonly now: () => number;
}

function issuing(key: KeyObject, { certificate, allowed, now }: Issuing): Issuer {
  // Never leaves this process: who reads the disk does not get it.
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const privateKey = own.privateKey.export({ type: 'pkcs8', format: 'pem' });
  /** There are never more than there are hosts. */
  const made = new Map<string, { readonly context: SecureContext; readonly at: number }>();
  return {
    certificate,
    contextFor(host) {
      if (!allowed.has(host)) throw new Error(`${host} is none of the hosts that the proxy may speak for`);
      const at = now();
      const known = made.get(host);
      if (known && Math.abs(at - known.at) < HOST_RENEWED_MS) return known.context;
      const validity = { from: at - CLOCK_BACK_MS, until: at + HOST_MS };
      const context = createSecureContext({
        key: privateKey,
        cert: hostCertificate(key, host, own.publicKey, validity),
      });
      made.set(host, { context, at });
      return context;
    },
  };
}

async function readKey(path: string): Promise<KeyObject> {
  const text = await readFile(path, 'utf8').catch(unlessAbsent);
  if (text !== undefined) {
    // Whoever can read it can pass for every host it vouches for.
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
    return createPrivateKey(text);
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeWhole(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);
  return privateKey;
}

interface Files {
  readonly certificate: string;
  readonly hosts: string;
}

/** The certificate that is kept, when it is of this key and for these hosts; else a new one of the same name. */
async function readCertificate(
  key: KeyObject,
  files: Files,
  { hosts, now }: Pick<IssuerParts, 'hosts' | 'now'>,
): Promise<string> {
  const kept = await readFile(files.certificate, 'utf8').catch(unlessAbsent);
  const listed = await readFile(files.hosts, 'utf8').catch(unlessAbsent);
  const list = [...hosts].sort().join('\n');
  const mark = (certificate: string) => `${createHash('sha256').update(certificate).digest('hex')}\n${list}\n`;
  if (kept !== undefined && listed === mark(kept) && isUsable(kept, key, now())) return kept;
  const certificate = authorityCertificate(key, [...hosts].sort(), {
    from: now() - CLOCK_BACK_MS,
    until: now() + AUTHORITY_MS,
  });
  await writeWhole(files.certificate, certificate, 0o644);
  await writeWhole(files.hosts, mark(certificate), 0o644);
  return certificate;
}

function isUsable(certificate: string, key: KeyObject, at: number): boolean {
  const parsed = new X509Certificate(certificate);
  return parsed.checkPrivateKey(key) && parsed.validToDate.getTime() - at > AUTHORITY_LEFT_MS_MIN;
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  const file = await open(partial, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
