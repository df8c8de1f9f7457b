import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { sha256 } from '@drayage/core';
import { type FakeServer, reply, type Seen, startFakeServer } from '../origin/fake-server.ts';
import type { ImageShelves } from './fake-parts.ts';

/** What a server answers to all, whoever asks. */
type Fault = number | 'silence' | undefined;

/** A private registry for tests, with a token service of its own, or asking for passwords. */
export interface GuardedRegistry extends ImageShelves, AsyncDisposable {
  readonly url: string;
  /** Whom it lets read what: by `user repository`. Read anew for every request. */
  readonly rights: Set<string>;
  readonly passwords: Map<string, string>;
  fault: Fault;
  tokenFault: Fault;
  /** What it answers to all with a 200, as a proxy in its place would. */
  page: string | undefined;
  /** Every question so far. */
  readonly seen: readonly Seen[];
  /** A token as a client gets it without anybody between. */
  tokenFor(user: string, repository: string, seconds?: number): string;
  basicFor(user: string): string;
}

interface GuardedOptions {
  readonly scheme: 'bearer' | 'basic';
  readonly now: () => number;
  readonly tokenSeconds?: number;
}

const ANYONE = '*';

export async function startGuardedRegistry(options: GuardedOptions): Promise<GuardedRegistry> {
  const people: People = { rights: new Set(), passwords: new Map() };
  const shelves: ImageShelves = { manifests: new Map(), blobs: new Map() };
  const tokens = issueTokens(people, options);
  const faults: Faults = { fault: undefined, tokenFault: undefined, page: undefined };

  function answer(request: Seen, response: ServerResponse): void {
    const { headers, url } = request;
    const [, repository = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/?]+)/.exec(url) ?? [];
    const why =
      options.scheme === 'basic'
        ? whyNotBasic(people, headers.authorization, repository)
        : tokens.whyNot(headers.authorization, repository);
    if (why === 'denied') reply(response, 403, '{}');
    else if (why !== undefined) {
      const scope = repository === '' ? '' : `,scope="repository:${repository}:pull"`;
      const error = why === '' ? '' : `,error="${why}"`;
      const words = `Bearer realm="http://${headers.host}/token",service="guarded"${scope}${error}`;
      reply(response, 401, '{}', { 'www-authenticate': options.scheme === 'basic' ? 'Basic realm="guarded"' : words });
    } else if (repository === '') reply(response, 200, '{}');
    else serve(shelves, { request, kind, key: `${repository} ${reference}` }, response);
  }

  const server: FakeServer = await startFakeServer((request, response) => {
    const isToken = request.url.startsWith('/token');
    const fault = isToken ? faults.tokenFault : faults.fault;
    if (fault === 'silence') return;
    if (fault !== undefined) reply(response, fault, '{}');
    else if (faults.page !== undefined) reply(response, 200, faults.page, { 'content-type': 'text/html' });
    else if (isToken) tokens.answer(request, response);
    else answer(request, response);
  });
  return Object.assign(faults, people, shelves, {
    url: server.url,
    seen: server.seen,
    tokenFor: (user: string, repository: string, seconds?: number) => tokens.issue(user, [repository], seconds),
    basicFor: (user: string) => `Basic ${btoa(`${user}:${people.passwords.get(user)}`)}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  });
}

type Faults = Pick<GuardedRegistry, 'fault' | 'tokenFault' | 'page'>;
type People = Pick<GuardedRegistry, 'rights' | 'passwords'>;

function mayRead({ rights }: People, user: string, repository: string): boolean {
  return rights.has(`${user} ${repository}`) || rights.has(`${ANYONE} ${repository}`);
}

/** Undefined when the password is not the user's. */
function userOf({ passwords }: People, authorization = ''): string | undefined {
  if (authorization === '') return ANYONE;
  const [user = '', password] = Buffer.from(authorization.slice('Basic '.length), 'base64').toString().split(':');
  return password !== undefined && passwords.get(user) === password ? user : undefined;
}

/** Why a password is not enough: empty when none was shown that counts. */
function whyNotBasic(people: People, authorization: string | undefined, repository: string): string | undefined {
  const user = authorization === undefined ? undefined : userOf(people, authorization);
  if (user === undefined) return '';
  return repository === '' || mayRead(people, user, repository) ? undefined : 'denied';
}

interface Tokens {
  issue(user: string, repositories: readonly string[], seconds?: number): string;
  answer(request: Seen, response: ServerResponse): void;
  /** Why a token is not enough. */
  whyNot(authorization: string | undefined, repository: string): string | undefined;
}

function issueTokens(people: People, { now, tokenSeconds = 300 }: GuardedOptions): Tokens {
  const given = new Map<string, { user: string; repositories: readonly string[]; endsAt: number }>();

  function issue(user: string, wanted: readonly string[], seconds = tokenSeconds): string {
    const claims = { aud: 'guarded', exp: Math.floor(now() / 1000) + seconds, jti: randomUUID() };
    const token = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${randomUUID()}`;
    const repositories = wanted.filter((name) => mayRead(people, user, name));
    given.set(token, { user, repositories, endsAt: now() + seconds * 1000 });
    return token;
  }

  return {
    issue,
    answer({ headers, url }, response) {
      const user = userOf(people, headers.authorization);
      const scopes = new URL(url, 'http://guarded').searchParams.getAll('scope');
      const wanted = scopes.flatMap((scope) => /^repository:([^:]+):pull/.exec(scope)?.[1] ?? []);
      if (user === undefined) reply(response, 401, '{}');
      else {
        const answer = { token: issue(user, wanted), expires_in: tokenSeconds, refresh_token: 'not to be passed on' };
        reply(response, 200, JSON.stringify(answer));
      }
    },
    whyNot(authorization, repository) {
      if (!authorization) return '';
      const token = given.get(authorization.replace(/^Bearer /, ''));
      if (!token || token.endsAt <= now()) return 'invalid_token';
      if (repository === '') return undefined;
      if (!token.repositories.includes(repository)) return 'insufficient_scope';
      return mayRead(people, token.user, repository) ? undefined : 'denied';
    },
  };
}

interface Wanted {
  readonly request: Seen;
  readonly kind: string;
  /** Repository and reference. */
  readonly key: string;
}

function serve(shelves: ImageShelves, { request, kind, key }: Wanted, response: ServerResponse): void {
  const manifest = kind === 'manifests' ? shelves.manifests.get(key) : undefined;
  const isList = kind === 'tags' || kind === 'referrers';
  const list = Buffer.from('{"tags":["1"],"manifests":[]}');
  const bytes = isList ? list : kind === 'manifests' ? manifest?.bytes : shelves.blobs.get(key);
  if (!bytes) {
    reply(response, 404, '{}');
    return;
  }
  const type = isList ? 'application/json' : (manifest?.mediaType ?? 'application/octet-stream');
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const part = from === undefined ? bytes : bytes.subarray(Number(from), Number(to) + 1);
  const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${bytes.length}` };
  const about = { 'content-type': type, 'content-length': part.length, 'docker-content-digest': sha256(bytes) };
  response.writeHead(from === undefined ? 200 : 206, { ...about, ...range });
  response.end(request.method === 'HEAD' ? undefined : part);
}
