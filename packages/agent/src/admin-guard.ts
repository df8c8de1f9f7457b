import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { AdminAddress } from './address.ts';

/** The parts of a request that tell who made it, and through what. */
export interface Asked {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
  readonly contentType: string | undefined;
}

export interface Refusal {
  readonly status: 403 | 415 | 421;
  readonly why: string;
}

/** Says no to what a foreign web page could send: by another name (DNS rebinding), or across sites (CSRF). */
export function adminGuard(address: AdminAddress): (asked: Asked) => Refusal | undefined {
  const names = 'path' in address ? [] : ['localhost', hostname().toLowerCase(), address.host.toLowerCase()];
  // A browser does not open a socket file; whoever may open it may ask.
  const isHostAllowed = 'path' in address ? () => true : (host: string | undefined) => isAllowed(host, names);
  return ({ method, host, origin, fetchSite, contentType }) => {
    if (!isHostAllowed(host)) return { status: 421, why: 'this Host is not served here' };
    if (fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none') {
      return { status: 403, why: 'requests from other sites are refused' };
    }
    if (origin !== undefined && origin !== `http://${host}`) {
      return { status: 403, why: 'requests from other origins are refused' };
    }
    const isReading = method === 'GET' || method === 'HEAD';
    if (!isReading && contentType?.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json') {
      return { status: 415, why: 'Content-Type must be application/json' };
    }
    return undefined;
  };
}

/** An address as Host proves that no name was rebound; a name must be one of ours. */
function isAllowed(host: string | undefined, names: readonly string[]): boolean {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host ?? '') ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  return plain !== undefined && (isIP(plain) === 4 || names.includes(plain.toLowerCase()));
}
