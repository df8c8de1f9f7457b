import type { Repository } from '@drayage/core';
import type { Caller } from '../origin/types.ts';
import type { Secrets } from './wrapped-token.ts';

/** A repository as somebody asked for it. */
export interface Asked {
  readonly repository: Repository;
  readonly visitor: Visitor;
}

/** What a request shows of the client that sent it. */
export interface Visitor {
  readonly authorization: string | undefined;
  /** What the client calls this agent, host and port. */
  readonly host: string;
  readonly userAgent: string;
  /** The repository's name as the client wrote it; empty when it names none. */
  readonly name: string;
  /** The name begins with the origin: such a client asks for tokens by that name, which no origin would understand. */
  readonly isByPath: boolean;
}

/** What a client's Authorization header is worth at one origin. */
export type Shown =
  | { readonly kind: 'nothing' }
  /** A token of ours that is over, or that nobody can open. */
  | { readonly kind: 'invalid' }
  /** Meant for another origin, or for nothing. */
  | { readonly kind: 'elsewhere' }
  | {
      readonly kind: 'credential';
      readonly caller: Caller & { readonly kind: 'client' };
      /** As far as it can be read. */
      readonly expiresAt: number | undefined;
    };

const AUTHORIZATION_CHARS_MAX = 16 * 1024;

/** Reads an Authorization header. `service` is what the origin calls itself in its tokens. */
export function readCredential(
  { repository: { origin }, visitor: { authorization = '' } }: Asked,
  service: string | undefined,
  { secrets, now }: { readonly secrets: Secrets; readonly now: () => number },
): Shown {
  const client = (text: string, expiresAt?: number): Shown => ({
    kind: 'credential',
    caller: { kind: 'client', authorization: text, id: secrets.idOf(origin, text) },
    expiresAt,
  });
  if (authorization === '') return { kind: 'nothing' };
  if (authorization.length > AUTHORIZATION_CHARS_MAX) return { kind: 'invalid' };
  const [, scheme = '', value = ''] = /^(basic|bearer) +([\x21-\x7e]+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'basic') {
    return Buffer.from(value, 'base64').toString() === ':' ? { kind: 'nothing' } : client(`Basic ${value}`);
  }
  if (scheme === '') return { kind: 'invalid' };
  const opened = secrets.unwrap(value);
  if (opened === 'foreign') {
    const { audience, expiresAt } = claimsOf(value);
    // A token that says whom it is for is shown to nobody else.
    const isMeant = audience.length === 0 || service === undefined || audience.includes(service);
    return isMeant ? client(`Bearer ${value}`, expiresAt) : { kind: 'elsewhere' };
  }
  if (opened === undefined || opened.expiresAt <= now()) return { kind: 'invalid' };
  if (opened.origin !== origin) return { kind: 'elsewhere' };
  return client(opened.authorization, claimsOf(opened.authorization.slice('Bearer '.length)).expiresAt);
}

/** Whether a client has answered the challenge of `GET /v2/`, which shows nothing: the rest is proven where something is. */
export function hasAnswered(
  authorization: string | undefined,
  { secrets, now }: { readonly secrets: Secrets; readonly now: () => number },
): boolean {
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) return false;
  const opened = secrets.unwrap(token);
  return opened === 'foreign' || (opened !== undefined && opened.expiresAt > now());
}

interface Claims {
  readonly audience: readonly unknown[];
  readonly expiresAt: number | undefined;
}

/** What a token says of itself, believed only where that makes us stricter. */
function claimsOf(token: string): Claims {
  const none: Claims = { audience: [], expiresAt: undefined };
  const [, payload, ...rest] = token.split('.');
  if (payload === undefined || rest.length !== 1) return none;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    if (typeof claims !== 'object' || claims === null) return none;
    const { aud, exp } = claims as { readonly aud?: unknown; readonly exp?: unknown };
    return {
      audience: aud === undefined || aud === '' ? [] : [aud].flat(),
      expiresAt: typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined,
    };
  } catch {
    return none;
  }
}
