import { isOriginName } from '@drayage/core';
import type { HostPort } from './join.ts';

const LINKS_MAX = 8;
/** Base58 of what an Ed25519 key is among libp2p's names: two bytes of multihash, four of protobuf, and the key. */
const MEMBER = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/;
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const NAME_LEAD = '2408011220';
const NAME_HEX_CHARS = 74;
const ZONE = /^[a-zA-Z0-9._-]{1,64}$/;

/** How a member is reached for pieces, in its own words. Said by the member itself, or repeated by a home: a hint, no proof. */
export interface Contact {
  readonly member: string;
  readonly links: readonly HostPort[];
  readonly zone: string | undefined;
}

export function isZone(text: string): boolean {
  return ZONE.test(text);
}

/** Whether it may be the name of a member: one that libp2p can read. */
export function isMember(value: unknown): value is string {
  if (typeof value !== 'string' || !MEMBER.test(value)) return false;
  let number = 0n;
  for (const letter of value) number = number * 58n + BigInt(BASE58.indexOf(letter));
  const hex = number.toString(16);
  return hex.length === NAME_HEX_CHARS && hex.startsWith(NAME_LEAD);
}

/** Undefined when it is no contact. What is beyond the bounds is left out. */
export function parseContact(value: unknown): Contact | undefined {
  const { member, links, zone } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (!isMember(member) || !Array.isArray(links)) return undefined;
  return {
    member,
    links: links
      .slice(0, LINKS_MAX)
      .map(parseLink)
      .filter((link) => link !== undefined),
    zone: typeof zone === 'string' && isZone(zone) ? zone : undefined,
  };
}

function parseLink(value: unknown): HostPort | undefined {
  const { host, port } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (typeof host !== 'string' || !Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535)
    return undefined;
  const name = host.includes(':') ? `[${host}]` : host;
  return isOriginName(name.toLowerCase()) ? { host, port: Number(port) } : undefined;
}
