import { Failure } from '@drayage/core';
import { discard } from './answer.ts';
import { failureOf } from './asker.ts';
import { parseChallenges } from './challenge.ts';
import { basic, type Credential } from './credential.ts';
import { bareScopes, type Demand, demandOf } from './demand.ts';
import type { Answer, Line } from './line.ts';
import { checkedRealm } from './realm.ts';
import { follow } from './redirect.ts';
import { unauthorized, unavailable } from './refusal.ts';
import { retrying } from './retry.ts';
import { fetchToken } from './token.ts';

const demandFreshMs = 3_600_000;
/** So long an origin that asks for nothing, or in no way that is allowed, is believed. */
const noDemandFreshMs = 60_000;

/** A user's way into an origin. */
interface Login {
  /** What to show the origin. */
  readonly authorization: string;
  /** Undefined when only the origin knows. */
  readonly expiresAt: number | undefined;
}

/** How an origin lets people in who are not the agent. */
export interface Gate {
  /** How the origin wants to be shown a credential; undefined when it asks nobody. Throws `denied` when the way is not safe. */
  demand(signal: AbortSignal): Promise<Demand | undefined>;
  /** Proves a user to the origin, or gets what anyone gets. Throws `unauthorized` when it lets the user not in. */
  login(who: Credential | undefined, scopes: readonly string[], signal: AbortSignal): Promise<Login>;
}

interface GateParts {
  readonly line: Line;
  /** Hosts that may see a user's password besides the origin's own. */
  readonly realms: readonly string[];
  readonly now: () => number;
}

interface Kept {
  readonly demand: Demand | Failure | undefined;
  readonly until: number;
}

/** Asks the origin how it wants to be asked, about once an hour, and asks it so. */
export function gateOf({ line, realms, now }: GateParts): Gate {
  const { origin } = line;
  let kept: Kept | undefined;
  let asking: Promise<Kept> | undefined;

  async function ask(): Promise<Kept> {
    const answer = await exchange(line, undefined, AbortSignal.timeout(5_000));
    if (answer.status !== 401) {
      // Who has asked for a credential once does not stop by answering something else, such as a page about its repair.
      if (answer.status < 400 && isRegistry(answer) && !kept?.demand) {
        return { demand: undefined, until: now() + noDemandFreshMs };
      }
      throw unavailable(origin, `does not say how to show a credential: it answered ${answer.status}`);
    }
    const challenges = parseChallenges(answer.headers['www-authenticate']);
    const demand = demandOf(challenges, (realm) => checkedRealm(realm, line.url, realms), undefined);
    if (demand && (demand.scheme === 'basic' || demand.realm.isTrusted))
      return { demand, until: now() + demandFreshMs };
    const advice = demand && `asks for tokens of another host, ${demand.realm.url.host}: list it under \`realms\``;
    const why = new Failure('denied', `${origin} ${advice ?? 'asks for a credential in no way that is safe'}`);
    return { demand: why, until: now() + noDemandFreshMs };
  }

  async function renewed(signal: AbortSignal): Promise<Kept> {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    const mine = asking;
    const stop = Promise.withResolvers<never>();
    const abort = () => stop.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([mine, stop.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async function demand(signal: AbortSignal): Promise<Demand | undefined> {
    if (!kept || kept.until <= now()) {
      try {
        kept = await renewed(signal);
      } catch (error) {
        // How it asks does not change because it is away.
        if (!kept) throw failureOf(origin, error, signal);
      }
    }
    if (kept.demand instanceof Failure) throw kept.demand;
    return kept.demand;
  }

  async function login(who: Credential | undefined, scopes: readonly string[], signal: AbortSignal): Promise<Login> {
    const wanted = await demand(signal);
    if (wanted?.scheme === 'bearer') {
      const { realm, service } = wanted;
      const request = { realm: realm.url, service, scopes: [...scopes, ...bareScopes(wanted)], credential: who };
      const { token, expiresAt } = await fetchToken(line, request, now);
      return { authorization: `Bearer ${token}`, expiresAt };
    }
    if (who?.kind !== 'password') throw unauthorized(origin, 'wants a user name and a password', undefined);
    const authorization = basic(who);
    if (!wanted) return { authorization, expiresAt: undefined };
    const { status } = await exchange(line, authorization, signal);
    if (status < 300) return { authorization, expiresAt: undefined };
    if (status === 401 || status === 403)
      throw unauthorized(origin, 'refused the user name or the password', undefined);
    throw unavailable(origin, `answered ${status}`);
  }

  return {
    demand,
    login: (who, scopes, signal) =>
      login(who, scopes, signal).catch((error: unknown) => {
        throw failureOf(origin, error, signal);
      }),
  };
}

function isRegistry(answer: Answer): boolean {
  const { 'docker-distribution-api-version': version, 'content-type': type } = answer.headers;
  return version === 'registry/2.0' || (typeof type === 'string' && type.startsWith('application/json'));
}

async function exchange(line: Line, authorization: string | undefined, signal: AbortSignal): Promise<Answer> {
  const url = new URL('/v2/', line.url);
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await retrying(line.origin, () => follow(line, { method: 'GET', url, headers }, signal), signal);
  await discard(answer);
  // Another host has no say in who may read here.
  if (answer.foreign) throw unavailable(line.origin, `sends those who show a credential to ${answer.url.host}`);
  return answer;
}
