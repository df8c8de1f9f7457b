import { Failure, isFailure } from '@drayage/core';
import { discard } from './answer.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { basic } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { type Answer, isOnce, type Line, type Outgoing } from './line.ts';
import { checkedRealm, type Realm } from './realm.ts';
import { follow } from './redirect.ts';
import { unauthorized } from './refusal.ts';
import { retrying } from './retry.ts';
import { tokensFor } from './token.ts';
import type { Caller } from './types.ts';

const AUTHORIZATION_CHARS_MAX = 16 * 1024;
const BARE_SCOPE = /^[a-z][a-z0-9-]{0,63}$/;
const PULL_SCOPE = /^repository(?:\([a-z]{1,32}\))?:[a-z0-9._/-]{1,255}:pull$/;
const SCOPES_MAX = 4;

/** A question about a repository, before anyone's credential is on it. */
interface Question extends Outgoing {
  /** What it takes to ask: rights as token services write them. */
  readonly scopes: readonly string[];
}

/** What it takes to read a repository. */
export function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}

/** What it takes to add to a repository. */
export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

/** Asks an origin on somebody's behalf. Sends no credential before the origin asked for one in a way that is allowed. */
export interface Authority {
  /** Any answer but 401 and 403, which throw `unauthorized` and `denied`. */
  ask(question: Question, caller: Caller, signal: AbortSignal): Promise<Answer>;
}

/** A challenge that may be answered. */
type Demand =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: Realm;
      readonly service: string | undefined;
      readonly scopes: readonly string[];
    };

interface Pass {
  readonly header: string;
  readonly demand: Demand | undefined;
  readonly token: string | undefined;
  /** To be refused with it settles the matter. */
  readonly isFinal: boolean;
}

export interface AuthorityParts {
  readonly line: Line;
  readonly credentials: Credentials;
  /** Hosts that may see the credential besides the origin's own. */
  readonly realms: readonly string[];
  readonly now: () => number;
}

/** Answers an origin's challenges, and remembers the last one. */
export function authorityOf({ line, credentials, realms, now }: AuthorityParts): Authority {
  const tokens = tokensFor(line, now);
  /** What the origin demanded last, so that the next question need not be refused first. */
  let remembered: Demand | undefined;

  async function passFor(
    demand: Demand,
    caller: Caller,
    rejected: Pass | undefined,
    signal: AbortSignal,
  ): Promise<Pass | undefined> {
    const credential = caller.kind === 'agent' ? await credentials.read() : undefined;
    if (demand.scheme === 'basic') {
      if (credential?.kind !== 'password') return undefined;
      return { header: basic(credential), demand, token: undefined, isFinal: true };
    }
    const { url, isTrusted } = demand.realm;
    if (credential && !isTrusted) {
      const advice = `list it under \`realms\` if it may see the credential`;
      throw unauthorized(line.origin, `asks for tokens of another host, ${url.host}: ${advice}`, undefined);
    }
    const { token, isFresh } = await tokens.take({ ...demand, realm: url, credential }, rejected?.token, signal);
    return { header: `Bearer ${token}`, demand, token, isFinal: isFresh };
  }

  async function firstPass(scopes: readonly string[], caller: Caller, signal: AbortSignal): Promise<Pass | undefined> {
    if (caller.kind === 'client') {
      return { header: checked(line.origin, caller.authorization), demand: undefined, token: undefined, isFinal: true };
    }
    return remembered && passFor(withScopes(remembered, scopes), caller, undefined, signal);
  }

  function exchange({ scopes: _, ...request }: Question, pass: Pass | undefined, signal: AbortSignal): Promise<Answer> {
    const headers = pass ? { ...request.headers, authorization: pass.header } : request.headers;
    const send = () => follow(line, { ...request, headers }, signal);
    // A push is never sent twice: its client knows whether to try again.
    return request.push ? send() : retrying(line.origin, send, signal);
  }

  async function ask(question: Question, caller: Caller, signal: AbortSignal): Promise<Answer> {
    // An upload may go on at another host, which is shown nothing.
    const isOwn = question.url.origin === line.url.origin;
    const first = isOwn ? await firstPass(question.scopes, caller, signal) : undefined;
    const answer = await exchange(question, first, signal);
    if (answer.status !== 401 || answer.foreign) return admitted(line.origin, answer);

    await discard(answer);
    const challenges = parseChallenges(answer.headers['www-authenticate']);
    const demand = demandOf(challenges, (realm) => checkedRealm(realm, line.url, realms), question.scopes);
    const challenge = demand && wordsOf(demand, challenges);
    if (!demand) throw unauthorized(line.origin, refusalWords(challenges), undefined);
    // What was sent of such a body is gone, so it cannot be sent with a better credential.
    const isLost = isOnce(question.body);
    if (isLost || (first?.isFinal && (caller.kind === 'client' || sameDemand(first.demand, demand)))) {
      throw unauthorized(line.origin, isLost ? 'asks for a credential too late' : 'refused the credential', challenge);
    }
    const next = await passFor(demand, caller, first, signal);
    if (!next) throw unauthorized(line.origin, 'asks for a credential', challenge);
    const second = await exchange(question, next, signal);
    if (second.status === 401 && !second.foreign) {
      await discard(second);
      throw unauthorized(line.origin, 'refused the credential', challenge);
    }
    remembered = demand;
    return admitted(line.origin, second);
  }

  return {
    async ask(question, caller, signal) {
      try {
        return await ask(question, caller, signal);
      } catch (error) {
        if (isFailure(error, 'unauthorized')) credentials.forget();
        throw error;
      }
    },
  };
}

async function admitted(origin: string, answer: Answer): Promise<Answer> {
  if (answer.status !== 401 && answer.status !== 403) return answer;
  await discard(answer);
  // A host that is not the origin has no say in what credential to show: its 401 is a plain no.
  const where = answer.foreign ? `redirects to ${answer.url.host}, which answered` : 'answered';
  throw new Failure('denied', `${origin} ${where} ${answer.status}`);
}

/** The first challenge that may be answered, tokens before passwords. */
function demandOf(
  challenges: readonly Challenge[],
  check: (realm: string) => Realm | undefined,
  scopes: readonly string[],
): Demand | undefined {
  for (const challenge of challenges) {
    if (challenge.scheme !== 'bearer') continue;
    const realm = check(challenge.realm);
    const { service } = challenge;
    if (realm) return { scheme: 'bearer', realm, service, scopes: scopesOf(challenge.scope, scopes) };
  }
  return challenges.find(({ scheme }) => scheme === 'basic') && { scheme: 'basic' };
}

/** What the origin asks for, as far as it is a right to pull, and always what the question takes. */
function scopesOf(asked: string | undefined, needed: readonly string[]): readonly string[] {
  const sane = (asked ?? '').split(' ').filter((scope) => BARE_SCOPE.test(scope) || PULL_SCOPE.test(scope));
  return [...new Set([...needed, ...sane.slice(0, SCOPES_MAX)])];
}

function withScopes(demand: Demand, scopes: readonly string[]): Demand {
  if (demand.scheme === 'basic') return demand;
  const bare = demand.scopes.filter((scope) => BARE_SCOPE.test(scope));
  return { ...demand, scopes: scopesOf(bare.join(' '), scopes) };
}

function sameDemand(one: Demand | undefined, other: Demand): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The challenge in our own words: only what was understood and allowed is repeated to a client. */
function wordsOf(demand: Demand, challenges: readonly Challenge[]): string {
  if (demand.scheme === 'basic') return 'Basic realm="registry"';
  const quoted = (name: string, value: string | undefined) =>
    value === undefined || /["\\]/.test(value) ? [] : [`${name}="${value}"`];
  const error = challenges.flatMap((challenge) => (challenge.scheme === 'bearer' ? (challenge.error ?? []) : []))[0];
  const parameters = [
    ...quoted('realm', demand.realm.url.href),
    ...quoted('service', demand.service),
    ...quoted('scope', demand.scopes.join(' ')),
    ...quoted('error', error && /^[a-z_]{1,32}$/.test(error) ? error : undefined),
  ];
  return `Bearer ${parameters.join(',')}`;
}

function refusalWords(challenges: readonly Challenge[]): string {
  if (challenges.length === 0) return 'asks for a credential in no way that is understood';
  return 'asks for tokens in a way that is not safe';
}

function checked(origin: string, authorization: string): string {
  if (authorization.length <= AUTHORIZATION_CHARS_MAX && /^[\x20-\x7e]+$/.test(authorization)) return authorization;
  throw unauthorized(origin, 'was not asked: the credential is malformed', undefined);
}
