import { isIP } from 'node:net';

/** Where something listens on TCP. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where the admin API listens: TCP, or a socket file that only its owner may open. */
export type AdminAddress = Address | { readonly path: string };

const SOCKET_PATH_BYTES_MAX = 107;
const HOST_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

/** Reads `127.0.0.1:5050`, `[::1]:5050`, `localhost:5050` or `:5050` (every address). Throws on anything else. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(portText);
  const host = bracketed ?? (plain === '' ? '0.0.0.0' : plain);
  const isHost = bracketed === undefined ? host !== undefined && HOST_NAME.test(host) : isIP(bracketed) === 6;
  if (host === undefined || !isHost || !(port <= 65_535)) throw new Error('not an address such as 127.0.0.1:5050');
  return { host, port };
}

/** Reads a host that others could dial: a name or an IP address, without a port. Throws on anything else. */
export function parseHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0 && !HOST_NAME.test(host)) throw new Error('not a host such as 10.0.0.5 or node1.example.com');
  if (host === '0.0.0.0' || host === '::') throw new Error('nobody can dial every address; name one');
  return host;
}

/** Reads an address, or `unix:PATH`. Throws on anything else. */
export function parseAdminAddress(text: string): AdminAddress {
  if (!text.startsWith('unix:')) return parseAddress(text);
  const path = text.slice('unix:'.length);
  if (!path.startsWith('/')) throw new Error('unix: needs an absolute path');
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(`a socket path has at most ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  return { path };
}

/** The address as an option would spell it. */
export function formatAddress(address: AdminAddress): string {
  if ('path' in address) return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** The URL under which this machine reaches the address. */
export function localUrl(address: AdminAddress): string {
  if ('path' in address) return formatAddress(address);
  return `http://${formatAddress({ host: reachable(address.host), port: address.port })}`;
}

/** Whether only this machine reaches the host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The host to dial for a listening host: every address means this machine. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** Of the addresses something listens at, the one that programs of this host should use. */
export function nearest(addresses: readonly string[]): string {
  const chosen = addresses.find((address) => address.startsWith('127.')) ?? addresses[0];
  if (chosen === undefined) return '';
  const { host, port } = parseAddress(chosen);
  return formatAddress({ host: reachable(host), port });
}
