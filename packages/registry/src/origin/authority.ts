import { Failure, isFailure } from '@drayage/core';
import { discard } from './answer.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { basic } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { type Actions, challengeWords, type Demand, demandOf, errorOf, withScope } from './demand.ts';
import { type Answer, isOnce, type Line, type Outgoing } from './line.ts';
import { checkedRealm } from './realm.ts';
import { follow } from './redirect.ts';
import { unauthorized } from './refusal.ts';
import { retrying } from './retry.ts';
import { tokensFor } from './token.ts';
import type { Caller } from './types.ts';

const AUTHORIZATION_CHARS_MAX = 16 * 1024;

/** A question about a repository, before anyone's credential is on it. */
interface Question extends Outgoing {
  readonly repository: string;
  /** What is to be done with it: only read when nothing is said. */
  readonly actions?: Actions;
  /** Another repository that is read for it. */
  readonly reads?: string | undefined;
}

/** Asks an origin on somebody's behalf. Sends no credential before the origin asked for one in a way that is allowed. */
export interface Authority {
  /** Any answer but 401 and 403, which throw `unauthorized` and `denied`. */
  ask(question: Question, caller: Caller, signal: AbortSignal): Promise<Answer>;
}

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

  async function firstPass(question: Question, caller: Caller, signal: AbortSignal): Promise<Pass | undefined> {
    if (caller.kind === 'client') {
      return { header: checked(line.origin, caller.authorization), demand: undefined, token: undefined, isFinal: true };
    }
    return remembered && passFor(scoped(remembered, question), caller, undefined, signal);
  }

  async function ask(question: Question, caller: Caller, signal: AbortSignal): Promise<Answer> {
    // An upload may go on at another host, which is shown nothing.
    const isOwn = question.url.origin === line.url.origin;
    const first = isOwn ? await firstPass(question, caller, signal) : undefined;
    const answer = await exchange(line, question, first, signal);
    if (answer.status !== 401 || answer.foreign) return admitted(line.origin, answer);

    await discard(answer);
    const challenges = parseChallenges(answer.headers['www-authenticate']);
    const found = demandOf(challenges, (realm) => checkedRealm(realm, line.url, realms), question.repository);
    const demand = found && question.actions ? scoped(found, question) : found;
    const challenge = demand && challengeWords(demand, errorOf(challenges));
    if (!demand) throw unauthorized(line.origin, refusalWords(challenges), undefined);
    // What was sent of such a body is gone, so it cannot be sent with a better credential.
    const isLost = isOnce(question.body);
    if (isLost || (first?.isFinal && (caller.kind === 'client' || sameDemand(first.demand, demand)))) {
      throw unauthorized(line.origin, isLost ? 'asks for a credential too late' : 'refused the credential', challenge);
    }
    const next = await passFor(demand, caller, first, signal);
    if (!next) throw unauthorized(line.origin, 'asks for a credential', challenge);
    const second = await exchange(line, question, next, signal);
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
        if (caller.kind === 'agent' && isFailure(error, 'unauthorized')) credentials.forget();
        throw error;
      }
    },
  };
}

function exchange(line: Line, question: Question, pass: Pass | undefined, signal: AbortSignal): Promise<Answer> {
  const headers = pass ? { ...question.headers, authorization: pass.header } : question.headers;
  const send = () => follow(line, { ...question, headers }, signal);
  // A push is never sent twice: its client knows whether to try again.
  return question.push ? send() : retrying(line.origin, send, signal);
}

async function admitted(origin: string, answer: Answer): Promise<Answer> {
  if (answer.status !== 401 && answer.status !== 403) return answer;
  await discard(answer);
  // A host that is not the origin has no say in what credential to show: its 401 is a plain no.
  const where = answer.foreign ? `redirects to ${answer.url.host}, which answered` : 'answered';
  throw new Failure('denied', `${origin} ${where} ${answer.status}`);
}

/** The demand of an origin, for one question. */
function scoped(demand: Demand, { repository, actions, reads }: Question): Demand {
  const own = withScope(demand, repository, actions);
  if (own.scheme === 'basic' || reads === undefined || reads === repository) return own;
  return { ...own, scopes: [...own.scopes, `repository:${reads}:pull`] };
}

function sameDemand(one: Demand | undefined, other: Demand): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function refusalWords(challenges: readonly Challenge[]): string {
  if (challenges.length === 0) return 'asks for a credential in no way that is understood';
  return 'asks for tokens in a way that is not safe';
}

function checked(origin: string, authorization: string): string {
  if (authorization.length <= AUTHORIZATION_CHARS_MAX && /^[\x20-\x7e]+$/.test(authorization)) return authorization;
  throw unauthorized(origin, 'was not asked: the credential is malformed', undefined);
}
