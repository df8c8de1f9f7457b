import type { IncomingMessage } from 'node:http';
import { Failure, type Repository } from '@drayage/core';
import type { Credential } from '../origin/credential.ts';
import type { Actions } from '../origin/demand.ts';
import { chooseRepository, type Names } from './request.ts';

/** What a client asks of a token service: who it is, and what for. */
export interface TokenRequest {
  /** Undefined for a client that shows nothing: it gets what anyone gets. */
  readonly who: Credential | undefined;
  readonly service: string | undefined;
  readonly scopes: readonly Scope[];
}

/** What is asked for of one repository. */
export interface Scope {
  readonly repository: Repository;
  readonly actions: Actions;
}

const BODY_BYTES_MAX = 16 * 1024;
const BODY_WAIT_MS = 5_000;
const SCOPES_MAX = 16;
const AUTHORIZATION_CHARS_MAX = 16 * 1024;
const SCOPE = /^repository:([^:]{1,1024}):([a-z*,]{1,64})$/;

/** Reads a GET with Basic, or a POST with a form. Throws what the client is to be told. */
export async function readTokenRequest(incoming: IncomingMessage, target: string, names: Names): Promise<TokenRequest> {
  const mark = target.indexOf('?');
  if (incoming.method === 'GET') {
    const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
    return { who: basicOf(incoming.headers.authorization), ...wantedOf(query, query.getAll('scope'), names) };
  }
  const form = new URLSearchParams(await readBody(incoming));
  return { who: grantOf(form), ...wantedOf(form, (form.get('scope') ?? '').split(' '), names) };
}

function wantedOf(form: URLSearchParams, scopes: readonly string[], names: Names): Omit<TokenRequest, 'who'> {
  const service = form.get('service') ?? undefined;
  // A service that is an origin's name speaks of that origin's repositories as the origin does.
  const namespaces = service !== undefined && names.isOrigin(service) ? [service] : [];
  const texts = scopes.filter((scope) => scope !== '').slice(0, SCOPES_MAX);
  return { service, scopes: texts.flatMap((text) => scopeOf(text, namespaces, names)) };
}

/** Nothing for a scope that no token here could cover: the token then covers less, as at any token service. */
function scopeOf(text: string, namespaces: readonly string[], names: Names): readonly Scope[] {
  const [, name, actions] = SCOPE.exec(text) ?? [];
  if (name === undefined || actions === undefined) return [];
  try {
    const isPush = /(?:^|,)(?:push|\*)(?:,|$)/.test(actions);
    return [{ repository: chooseRepository(name, namespaces, names), actions: isPush ? 'pull,push' : 'pull' }];
  } catch {
    return [];
  }
}

function basicOf(header = ''): Credential | undefined {
  if (header === '') return undefined;
  const [, encoded] = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header.slice(0, AUTHORIZATION_CHARS_MAX)) ?? [];
  if (encoded === undefined)
    throw new Failure('unauthorized', 'the token service here takes a user name and a password');
  const pair = Buffer.from(encoded, 'base64').toString();
  const colon = pair.indexOf(':');
  return passwordOf(pair.slice(0, Math.max(colon, 0)), pair.slice(colon + 1));
}

function grantOf(form: URLSearchParams): Credential | undefined {
  const kind = form.get('grant_type');
  if (kind === 'password') return passwordOf(form.get('username') ?? '', form.get('password') ?? '');
  const token = form.get('refresh_token');
  if (kind === 'refresh_token' && token) return { kind: 'identity', token };
  throw new Failure('unauthorized', 'the token service here takes a user name and a password');
}

function passwordOf(username: string, password: string): Credential | undefined {
  if (username === '' && password === '') return undefined;
  // The origin would take the rest of the name for a part of the password.
  if (username === '' || username.includes(':')) throw new Failure('unauthorized', 'the user name is malformed');
  return { kind: 'password', username, password };
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const late = setTimeout(() => incoming.destroy(), BODY_WAIT_MS);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) throw new Failure('name_invalid', `the form is larger than ${BODY_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  } finally {
    clearTimeout(late);
  }
}
