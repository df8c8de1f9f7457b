import { Failure, isFailure } from '@drayage/core';
import { discard } from './answer.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { basic } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { challengeWords, type Demand, demandOf, errorOf, withScope } from './demand.ts';
import type { Answer, Line, Outgoing } from './line.ts';
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

  async function firstPass(repository: string, caller: Caller, signal: AbortSignal): Promise<Pass | undefined> {
    if (caller.kind === 'client') {
      return { header: checked(line.origin, caller.authorization), demand: undefined, token: undefined, isFinal: true };
    }
    return remembered && passFor(withScope(remembered, repository), caller, undefined, signal);
  }

  function exchange(
    { repository: _, ...request }: Question,
    pass: Pass | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const headers = pass ? { ...request.headers, authorization: pass.header } : request.headers;
    return retrying(line.origin, () => follow(line, { ...request, headers }, signal), signal);
  }

  async function ask(question: Question, caller: Caller, signal: AbortSignal): Promise<Answer> {
    const first = await firstPass(question.repository, caller, signal);
    const answer = await exchange(question, first, signal);
    if (answer.status !== 401 || answer.foreign) return admitted(line.origin, answer);

    await discard(answer);
    const challenges = parseChallenges(answer.headers['www-authenticate']);
    const demand = demandOf(challenges, (realm) => checkedRealm(realm, line.url, realms), question.repository);
    const challenge = demand && challengeWords(demand, errorOf(challenges));
    if (!demand) throw unauthorized(line.origin, refusalWords(challenges), undefined);
    if (first?.isFinal && (caller.kind === 'client' || sameDemand(first.demand, demand))) {
      throw unauthorized(line.origin, 'refused the credential', challenge);
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
        if (caller.kind === 'agent' && isFailure(error, 'unauthorized')) credentials.forget();
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
