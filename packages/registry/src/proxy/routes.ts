import { isIP } from 'node:net';
import { reachOf } from '../origin/address.ts';
import { tokenHosts } from '../origin/realm.ts';
import { formatTarget, HTTP_PORT, HTTPS_PORT, parseAuthority, type Target } from './target.ts';

/** An origin as the proxy sees it. */
export interface ProxiedOrigin {
  readonly name: string;
  readonly url: string;
  /** Other hosts that its tokens come from. */
  readonly realms: readonly string[];
  /** Whether its clients are answered in its place; undefined: unless no runtime could be made to trust that. */
  readonly isProxied: boolean | undefined;
}

/** What becomes of clients that want to go elsewhere. */
export type Others = 'tunnel' | 'refuse';

/** Where clients of the proxy are led. */
export interface Routes {
  /** The origin that TLS clients mean by this place. */
  secure(target: Target): string | undefined;
  /** The origin that clients mean by it when they ask without TLS. */
  plain(target: Target): string | undefined;
  /** Whether a client may go to this host when it is not answered in its place. */
  isOpen(host: string): boolean;
  /** The hosts that certificates are needed for. */
  readonly hosts: readonly string[];
  /** What TLS clients that are answered call their registry: `ghcr.io`, `registry.example.com:5000`. */
  readonly places: readonly string[];
}

/**
 * Docker Hub's registry answers at another name than people call it, and dockerd trusts nobody for it but the system's
 * authorities: its mirrors are the way to the agent.
 */
const HUB = 'docker.io';

/** The names clients use for origins, and the places in the origins' URLs. A name wins over the URL of another. */
export function routesTo(all: readonly ProxiedOrigin[], others: Others): Routes {
  const origins = all.filter(({ name, isProxied }) => isProxied ?? name !== HUB);
  const open = new Set(all.flatMap(({ url, realms }) => [new URL(url).hostname, ...tokenHosts(new URL(url), realms)]));
  const secure = new Map<string, string>();
  const plain = new Map<string, string>();
  const hosts = new Set<string>();
  const add = (map: Map<string, string>, target: Target | undefined, origin: string) => {
    if (target === undefined || isThisHost(target.host)) return;
    if (!map.has(formatTarget(target))) map.set(formatTarget(target), origin);
    if (map === secure) hosts.add(target.host);
  };
  for (const { name } of origins) {
    if (name === HUB) continue;
    add(secure, parseAuthority(name, HTTPS_PORT), name);
    add(plain, parseAuthority(name, HTTP_PORT), name);
  }
  for (const { name, url } of origins) {
    const { host, protocol } = new URL(url);
    const place = parseAuthority(host, protocol === 'https:' ? HTTPS_PORT : HTTP_PORT);
    // Clients that allow plain HTTP try TLS first at the same port.
    add(secure, place, name);
    if (protocol === 'http:') add(plain, place, name);
  }
  return {
    secure: (target) => secure.get(formatTarget(target)),
    plain: (target) => plain.get(formatTarget(target)),
    isOpen: (host) => others === 'tunnel' || open.has(host),
    hosts: [...hosts],
    places: [...secure.keys()].map((place) => place.replace(/:443$/, '')),
  };
}

/** No client is led to this host or its link, not even where an origin happens to be. */
function isThisHost(host: string): boolean {
  if (isIP(host) === 0) return host === 'localhost' || host.endsWith('.localhost');
  const reach = reachOf(host);
  return reach === 'loopback' || reach === 'link-local';
}
