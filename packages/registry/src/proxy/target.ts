import { isIP, isIPv4 } from 'node:net';

/** Where a client wants to go, spelled in the one way that everything here compares. */
export interface Target {
  /** Lower case, without a trailing dot; an IPv6 address without brackets, in its shortest form. */
  readonly host: string;
  readonly port: number;
}

export const HTTPS_PORT = 443;
export const HTTP_PORT = 80;

const PRINTABLE = /^[\x21-\x7e]{1,300}$/;
const AUTHORITY = /^(?:\[([0-9a-f:.]{2,45})\]|([^:@[\]/?#\\]+))(?::([1-9]\d{0,4}))?$/;
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
/** Resolvers take such names for addresses: 2130706433, 0x7f.1, 127.1. */
const NUMERIC_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
const ABSOLUTE = /^http:\/\/([^/?#]*)([/?][^#]*)?$/i;

/** Reads `host:port`; without a port, the default counts. Undefined for whatever names no place in just one way. */
export function parseAuthority(text: string, defaultPort: number | undefined): Target | undefined {
  if (!PRINTABLE.test(text)) return undefined;
  const [, six, plain, portText] = AUTHORITY.exec(text.toLowerCase()) ?? [];
  const port = portText === undefined ? defaultPort : Number(portText);
  if (port === undefined || port > 65_535) return undefined;
  const host = six === undefined ? plain && checkedName(plain) : checkedSix(six);
  return host === undefined || host === '' ? undefined : { host, port };
}

/** Reads a request target that names its host: `http://host[:port]/path`. */
export function parseAbsolute(text: string): { readonly target: Target; readonly path: string } | undefined {
  const [, authority = '', rest = ''] = ABSOLUTE.exec(text) ?? [];
  const target = parseAuthority(authority, HTTP_PORT);
  return target && { target, path: rest.startsWith('/') ? rest : `/${rest}` };
}

/** `host:port`, as a key and for people. */
export function formatTarget({ host, port }: Target): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function checkedName(text: string): string | undefined {
  const name = text.replace(/\.$/, '');
  if (isIPv4(name)) return name;
  return NAME.test(name) && !NUMERIC_END.test(name) ? name : undefined;
}

function checkedSix(text: string): string | undefined {
  return isIP(text) === 6 ? URL.parse(`http://[${text}]`)?.hostname.slice(1, -1) : undefined;
}
