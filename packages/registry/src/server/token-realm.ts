import type { IncomingMessage } from 'node:http';
import { describe, isFailure } from '@drayage/core';
import { basic, type Credential } from '../origin/credential.ts';
import type { Gate } from '../origin/login.ts';
import type { GatedOrigins } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import { type Refusal, refusalAnswer } from './errors.ts';
import { setBounded, within } from './flight.ts';
import type { Policies } from './policy.ts';
import type { Names } from './request.ts';
import { readTokenRequest, type Scope, type TokenRequest } from './token-request.ts';
import type { Secrets } from './wrapped-token.ts';

/** The token service for clients that would not find the origin's own. It decides nothing: the origin does. */
export type AnswerToken = (incoming: IncomingMessage, target: string, names: Names) => Promise<Answer>;

export interface TokenRealmParts {
  readonly origins: GatedOrigins;
  readonly policies: Policies;
  readonly secrets: Secrets;
  readonly now: () => number;
}

/** Tokens of our own live no longer: what is behind them is shown to the origin as often. */
const LIFE_MS = 15 * 60 * 1000;
const LOGIN_WAIT_MS = 8_000;
const TOKENS_KEPT_MAX = 4096;

interface Token {
  readonly token: string;
  readonly expiresAt: number;
}

/** What one origin is to give. */
interface Wanted {
  readonly origin: string;
  readonly who: Credential | undefined;
  readonly scopes: readonly Scope[];
}

export function tokenRealm({ origins, policies, secrets, now }: TokenRealmParts): AnswerToken {
  /** The last token that an origin's service gave to a user, by a name that tells neither. */
  const last = new Map<string, { readonly authorization: string; readonly at: number }>();

  function wrapped(origin: string | undefined, authorization: string): Token {
    const expiresAt = now() + LIFE_MS;
    return { token: secrets.wrap({ origin, authorization, expiresAt }), expiresAt };
  }

  async function tokenFor(request: TokenRequest): Promise<Token> {
    const wanted = request.scopes.filter((scope) => isAskedFor(policies, scope));
    const origin = wanted[0]?.repository.origin;
    // A token is good for one origin: a second one would see what is meant for the first.
    const scopes = wanted.filter(({ repository }) => repository.origin === origin);
    if (origin !== undefined) return fromOrigin({ origin, who: request.who, scopes });
    const only = request.who && request.scopes.length === 0 ? loginOrigin(policies, request.service) : undefined;
    if (only !== undefined) await fromOrigin({ origin: only, who: request.who, scopes: [] });
    return wrapped(undefined, '');
  }

  async function fromOrigin(wanted: Wanted): Promise<Token> {
    const { origin, who, scopes } = wanted;
    const gate = origins.gate(origin);
    const key = secrets.idOf('login', origin, JSON.stringify(who ?? null), JSON.stringify(scopes));
    try {
      // Whoever shows nothing to an origin that asks for nothing is not to be refused here.
      if (!who && !(await gate.demand(AbortSignal.timeout(LOGIN_WAIT_MS)))) return wrapped(undefined, '');
      const { authorization, expiresAt } = await loginAt(gate, wanted);
      if (authorization.startsWith('Basic ')) return wrapped(origin, authorization);
      if (who) setBounded(last, [key, { authorization, at: now() }], TOKENS_KEPT_MAX);
      return { token: authorization.slice('Bearer '.length), expiresAt: expiresAt ?? now() + LIFE_MS };
    } catch (error) {
      if (!isFailure(error, 'origin_unavailable')) last.delete(key);
      const earlier = isFailure(error, 'origin_unavailable') && (await withoutOrigin(wanted, key));
      if (!earlier) throw error;
      return wrapped(origin, earlier);
    }
  }

  /** While the origin is away: what it gave this user last. It opens only what was proven with it before. */
  async function withoutOrigin({ origin, who, scopes }: Wanted, key: string): Promise<string | undefined> {
    const token = last.get(key);
    const staleForMs = scopes[0] ? policies.for(scopes[0].repository).proof.staleForMs : 0;
    if (token) return now() - token.at <= staleForMs ? token.authorization : undefined;
    // A password needs no token service, and is known by itself.
    const late = AbortSignal.timeout(LOGIN_WAIT_MS);
    const demand = await origins
      .gate(origin)
      .demand(late)
      .catch(() => undefined);
    const isKnown = demand?.scheme === 'basic' && who?.kind === 'password' && scopes.length > 0;
    return isKnown ? basic(who) : undefined;
  }

  return async (incoming, target, names) => {
    try {
      return tokenAnswer(await tokenFor(await readTokenRequest(incoming, target, names)), now());
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal) return refusalAnswer(refusal);
      throw error;
    }
  };
}

/** Nothing is pulled from here, so nobody stalls over a 5xx, and nobody asks again for having been refused. */
function refusalOf(error: unknown): Refusal | undefined {
  if (isFailure(error, 'unauthorized')) return { status: 401, code: 'UNAUTHORIZED', message: describe(error) };
  if (isFailure(error, 'origin_unavailable')) return { status: 503, code: 'UNAVAILABLE', message: describe(error) };
  return undefined;
}

function loginAt(gate: Gate, { origin, who, scopes }: Wanted) {
  const texts = scopes.map(({ repository, actions }) => `repository:${repository.path}:${actions}`);
  return within(LOGIN_WAIT_MS, `asking ${origin} for a token`, (late) => gate.login(who, texts, late));
}

/** Whether the origin has a say in it: what anyone may read needs no token. */
function isAskedFor(policies: Policies, { repository, actions }: Scope): boolean {
  const { access, push } = policies.for(repository);
  return access === 'proof' || (push && access !== 'node' && actions !== 'pull');
}

/** The origin that a login without a repository is for, where that is clear. */
function loginOrigin(policies: Policies, service: string | undefined): string | undefined {
  const asking = policies.asking();
  if (service !== undefined && asking.includes(service)) return service;
  return asking.length === 1 ? asking[0] : undefined;
}

function tokenAnswer({ token, expiresAt }: Token, at: number): Answer {
  const content = {
    token,
    access_token: token,
    expires_in: Math.max(1, Math.floor((expiresAt - at) / 1000)),
    issued_at: new Date(at).toISOString(),
  };
  const body = Buffer.from(JSON.stringify(content));
  const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length, 'Cache-Control': 'no-store' };
  return { status: 200, headers, body, source: undefined };
}
