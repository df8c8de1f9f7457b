import { createHash } from 'node:crypto';
import { discard, readWhole } from './answer.ts';
import { basic, type Credential } from './credential.ts';
import { number, parseObject, text } from './json.ts';
import type { Line, Outgoing } from './line.ts';
import { unauthorized, unavailable } from './refusal.ts';
import { retrying } from './retry.ts';

const TOKENS_MAX = 1024;
const ANSWER_BYTES_MAX = 64 * 1024;
const fetchWaitMs = 20_000;
const lifeDefaultMs = 60_000;
const lifeMaxMs = 3_600_000;
const lifeMarginMs = 10_000;

/** What a token is to be good for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** Undefined for a token that anyone gets. */
  readonly credential: Credential | undefined;
}

interface Token {
  readonly token: string;
  /** It was asked for just now, not kept from earlier. */
  readonly isFresh: boolean;
}

interface Tokens {
  /** A token for this, kept or asked for, and never the one the origin just rejected. */
  take(wanted: TokenRequest, rejected: string | undefined, signal: AbortSignal): Promise<Token>;
}

interface Kept {
  readonly answer: Promise<{ readonly token: string; readonly until: number }>;
  /** Unknown until the answer is there: those who ask meanwhile share it. */
  token: string | undefined;
  until: number;
}

/** Keeps the tokens of one origin's services, and asks for one but once, however many wait for it. */
export function tokensFor(line: Line, now: () => number): Tokens {
  const kept = new Map<string, Kept>();

  function start(key: string, wanted: TokenRequest): Kept {
    const answer = fetchToken(line, wanted, now).then(({ token, expiresAt }) => ({
      token,
      until: expiresAt - lifeMarginMs,
    }));
    const entry: Kept = { answer, token: undefined, until: Number.POSITIVE_INFINITY };
    answer.then(
      ({ token, until }) => Object.assign(entry, { token, until }),
      () => kept.get(key) === entry && kept.delete(key),
    );
    kept.delete(key);
    kept.set(key, entry);
    const [oldest] = kept.keys();
    if (kept.size > TOKENS_MAX && oldest !== undefined) kept.delete(oldest);
    return entry;
  }

  return {
    async take(wanted, rejected, signal) {
      const key = keyOf(wanted);
      const found = kept.get(key);
      const isUsable = found && found.until > now() && (rejected === undefined || found.token !== rejected);
      const entry = isUsable ? found : start(key, wanted);
      const { token } = await orAborted(entry.answer, signal);
      return { token, isFresh: !isUsable };
    },
  };
}

/** Secrets enter the key as a hash, so that no map holds them in clear for longer than a request. */
function keyOf({ realm, service, scopes, credential }: TokenRequest): string {
  const who = createHash('sha256')
    .update(JSON.stringify(credential ?? null))
    .digest('hex');
  return JSON.stringify([realm.href, service, scopes, who]);
}

/** A token asked for just now. Throws `unauthorized` when the service gives none to whoever asks. */
export async function fetchToken(
  line: Line,
  wanted: TokenRequest,
  now: () => number,
): Promise<{ readonly token: string; readonly expiresAt: number }> {
  // Many may wait for this answer, so it does not end with the first of them.
  const signal = AbortSignal.timeout(fetchWaitMs);
  const words = `(token service ${wanted.realm.host})`;
  const origin = `${line.origin} ${words}`;
  const answer = await retrying(origin, () => line.send(requestFor(wanted), signal), signal);
  if (answer.status !== 200) {
    await discard(answer);
    if ([400, 401, 403].includes(answer.status)) {
      throw unauthorized(origin, `gives no token here (${answer.status})`, undefined);
    }
    throw unavailable(origin, `answered ${answer.status}`);
  }
  const startedAt = now();
  const body = parseObject((await readWhole(origin, answer, ANSWER_BYTES_MAX)).toString());
  const token = text(body, 'token') || text(body, 'access_token');
  if (!token || !/^[\x21-\x7e]+$/.test(token)) throw unavailable(origin, 'sent no token');
  const seconds = number(body, 'expires_in');
  const lifeMs = seconds === undefined || seconds <= 0 ? lifeDefaultMs : Math.min(seconds * 1000, lifeMaxMs);
  return { token, expiresAt: startedAt + lifeMs };
}

function requestFor({ realm, service, scopes, credential }: TokenRequest): Outgoing {
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'drayage',
      refresh_token: credential.token,
    });
    if (service !== undefined) form.set('service', service);
    form.set('scope', scopes.join(' '));
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    return { method: 'POST', url: realm, headers, body: form.toString() };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const headers = { accept: 'application/json', ...(credential && { authorization: basic(credential) }) };
  return { method: 'GET', url, headers };
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
