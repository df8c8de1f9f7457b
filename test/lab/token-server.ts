import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Certificate } from './certificates.ts';
import { must } from './process.ts';

/** A user, what opens the door, and what may be read. */
export interface User {
  readonly name: string;
  readonly password: string;
  readonly reads: (repository: string) => boolean;
  /** Nothing when nothing is said. */
  readonly pushes?: (repository: string) => boolean;
}

/** One question to the token server. */
interface TokenQuestion {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  /** Undefined when the user was turned away. */
  readonly token: string | undefined;
}

/** The token server that a docker-registry trusts, with a few users. */
export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  readonly certificate: string;
  readonly asked: readonly TokenQuestion[];
  /** Refuses connections from now on. */
  stop(): Promise<void>;
}

export const TOKEN_ISSUER = 'lab';
export const TOKEN_SERVICE = 'lab-registry';
const LIFE_SECONDS = 300;

export interface TokenServerParts {
  readonly folder: string;
  readonly address: string;
  readonly users: readonly User[];
  /** For `https://` on the usual port; without it, plain on a free one. */
  readonly tls?: Certificate;
}

export async function startTokenServer({ folder, address, users, tls }: TokenServerParts): Promise<TokenServer> {
  const [key, certificate] = [join(folder, 'token.key'), join(folder, 'token.crt')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  await must('openssl', [
    'req',
    '-x509',
    ...curve,
    '-nodes',
    '-keyout',
    key,
    '-out',
    certificate,
    '-days',
    '30',
    '-subj',
    '/CN=tokens',
  ]);
  const asked: TokenQuestion[] = [];
  const signer = signerOf(key, certificate);
  const answer: RequestListener = async (request, response) => {
    const { name, password, scopes } = await questionOf(request);
    const user = users.find((one) => one.name === name && one.password === password);
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.flatMap((scope) => accessOf(scope, user));
    const claims = { iss: TOKEN_ISSUER, aud: TOKEN_SERVICE, sub: name ?? '', jti: randomUUID(), access };
    const times = { iat: now, nbf: now - 60, exp: now + LIFE_SECONDS };
    const token = name !== undefined && !user ? undefined : signer({ ...claims, ...times });
    asked.push({ user: name, scopes, token });
    response.writeHead(token === undefined ? 401 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(token === undefined ? {} : { token, access_token: token, expires_in: LIFE_SECONDS }));
  };
  const server = tls ? createTlsServer(tls, answer) : createServer(answer);
  server.listen(tls ? 443 : 0, address);
  await once(server, 'listening');
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    realm: `http://${address}:${(server.address() as AddressInfo).port}/token`,
    certificate,
    asked,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function accessOf(scope: string, user: User | undefined): readonly object[] {
  const [, repository] = /^repository:([^:]+):/.exec(scope) ?? [];
  if (repository === undefined || !user?.reads(repository)) return [];
  const actions = user.pushes?.(repository) ? ['pull', 'push'] : ['pull'];
  return [{ type: 'repository', name: repository, actions }];
}

async function questionOf(request: IncomingMessage): Promise<{ name?: string; password?: string; scopes: string[] }> {
  if (request.method === 'POST') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const scopes = (form.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
    return { name: form.get('username') ?? '', password: form.get('password') ?? '', scopes };
  }
  const scopes = new URL(request.url ?? '', 'http://lab').searchParams.getAll('scope');
  const { authorization } = request.headers;
  if (authorization === undefined) return { scopes };
  const pair = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
  const [name = '', password = ''] = pair.split(':');
  return name === '' ? { scopes } : { name, password, scopes };
}

/** Signs tokens as the registry wants them: with the certificate inside. */
function signerOf(keyFile: string, certificateFile: string): (claims: object) => string {
  const key = createPrivateKey(readFileSync(keyFile));
  const der = new X509Certificate(readFileSync(certificateFile)).raw.toString('base64');
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return (claims) => {
    const text = `${encode({ typ: 'JWT', alg: 'ES256', x5c: [der] })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  };
}
