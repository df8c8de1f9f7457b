import { lookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Failure, type Report } from '@drayage/core';
import {
  dialer,
  type Endpoint,
  type ForwardProxy,
  openIssuer,
  type ProxyParts,
  routesTo,
  startProxy,
} from '@drayage/registry';
import { formatAddress } from './address.ts';
import type { Config } from './config.ts';

/** The forward proxy as an operator sees it. */
export interface OpenProxy extends Pick<ForwardProxy, 'drain' | typeof Symbol.asyncDispose> {
  status(): ProxyStatus;
}

/** What a runtime has to be told to use the proxy. */
export interface ProxyStatus {
  readonly address: string;
  /** What it has to trust for these registries, in PEM. */
  readonly certificate: string;
  readonly places: readonly string[];
}

export interface OpenProxyParts {
  readonly endpoint: Endpoint;
  readonly origins: ProxyParts['origins'];
  readonly report: Report;
}

/** Opens the proxy where one is wanted, and makes its authority the first time. */
export async function openProxy(config: Config, parts: OpenProxyParts): Promise<OpenProxy | undefined> {
  const { proxyListen: listen, admin, swarmListen, linkListen } = config;
  if (listen === undefined) return undefined;
  const own = [...parts.endpoint.addresses, admin, ...swarmListen, linkListen];
  const ownPorts = own.flatMap((address) => ('port' in address ? [address.port] : []));
  const now = Date.now;
  const routes = routesTo(config.origins, config.proxyOthers);
  const issuer = await openIssuer({ folder: join(config.data, 'proxy'), hosts: routes.hosts, now });
  const isOwn = (address: string, port: number) => ownPorts.includes(port) && isHere(address);
  const proxy = await startProxy({ ...parts, listen, routes, issuer, dial: dialer({ lookup, isOwn }), now });
  const status = {
    address: formatAddress(proxy.address),
    certificate: issuer.certificate,
    places: routes.places,
  };
  return { status: () => status, drain: proxy.drain, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

/** The same of an agent that is not asked. Undefined when it has no proxy, or was never started with one. */
export async function proxyOf(config: Config): Promise<ProxyStatus | undefined> {
  const { proxyListen, proxyOthers, origins, data } = config;
  if (proxyListen === undefined) return undefined;
  const certificate = await readFile(authorityFile(data), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new Failure('disk_failed', `${authorityFile(data)} cannot be read`, { cause: error });
  });
  const { places } = routesTo(origins, proxyOthers);
  return certificate === undefined ? undefined : { address: formatAddress(proxyListen), certificate, places };
}

function authorityFile(data: string): string {
  return join(data, 'proxy', 'ca.crt');
}

/** Interfaces come and go, so they are looked at each time. */
function isHere(address: string): boolean {
  const here = new BlockList();
  for (const interfaces of Object.values(networkInterfaces())) {
    for (const one of interfaces ?? []) here.addAddress(one.address, one.family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return here.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}
