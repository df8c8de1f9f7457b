import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { must } from './process.ts';

/** A user, what opens the door, and what may be read. */
export interface User {
  readonly name: string;
  readonly password: string;
  readonly reads: (repository: string) => boolean;
  /** Nothing when nothing is said. */
  readonly pushes?: (repository: string) => boolean;
}

/** One question to the token service. */
export interface TokenQuestion {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  readonly status: number;
}

/** The token service that a docker-registry trusts, with a few users. */
export interface TokenService extends AsyncDisposable {
  readonly realm: string;
  readonly certificate: string;
  readonly asked: readonly TokenQuestion[];
  /** The next token is over already when it is given. */
  spoilNext(): void;
  /** Refuses connections from now on. */
  stop(): Promise<void>;
}

export const TOKEN_ISSUER = 'lab';
export const TOKEN_SERVICE = 'lab-registry';
const LIFE_SECONDS = 300;
/** More than the registry allows for clocks that go wrong. */
const SPOILED_SECONDS = 600;

export async function startTokenService(
  folder: string,
  address: string,
  users: readonly User[],
): Promise<TokenService> {
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
  let isSpoiled = false;
  const server = createServer(async (request, response) => {
    const { name, password, scopes } = await questionOf(request);
    const user = users.find((one) => one.name === name && one.password === password);
    const status = name !== undefined && !user ? 401 : 200;
    asked.push({ user: name, scopes, status });
    const now = Math.floor(Date.now() / 1000) - (isSpoiled ? SPOILED_SECONDS : 0);
    isSpoiled = false;
    const access = scopes.flatMap((scope) => accessOf(scope, user));
    const claims = { iss: TOKEN_ISSUER, aud: TOKEN_SERVICE, sub: name ?? '', jti: randomUUID(), access };
    const token = signer({ ...claims, iat: now, nbf: now - 60, exp: now + LIFE_SECONDS });
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(status === 200 ? { token, access_token: token, expires_in: LIFE_SECONDS } : {}));
  });
  server.listen(0, address);
  await once(server, 'listening');
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    realm: `http://${address}:${(server.address() as AddressInfo).port}/token`,
    certificate,
    asked,
    spoilNext: () => {
      isSpoiled = true;
    },
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
