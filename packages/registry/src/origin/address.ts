import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import type { OnRead } from './bulk.ts';
import { unavailable } from './refusal.ts';

const connectWaitMs = 5_000;

/** Who can be behind an address: anyone, our own network, this very host, or what must never be asked (metadata). */
type Reach = 'public' | 'private' | 'loopback' | 'link-local';

const NETWORKS: readonly (readonly [Reach, string, number])[] = [
  ['loopback', '127.0.0.0', 8],
  ['loopback', '0.0.0.0', 8],
  // IPv4 addresses in the ways IPv6 once wrote them, and through translators.
  ['loopback', '::', 96],
  ['loopback', '2002:7f00::', 24],
  ['loopback', '64:ff9b::7f00:0', 104],
  ['link-local', '2002:a9fe::', 32],
  ['link-local', '64:ff9b::a9fe:0', 112],
  ['link-local', '169.254.0.0', 16],
  ['link-local', 'fe80::', 10],
  ['link-local', 'fd00:ec2::254', 128],
  ['link-local', '100.100.100.200', 32],
  ['link-local', '224.0.0.0', 3],
  ['link-local', 'ff00::', 8],
  ['private', '10.0.0.0', 8],
  ['private', '172.16.0.0', 12],
  ['private', '192.168.0.0', 16],
  ['private', '100.64.0.0', 10],
  ['private', 'fc00::', 7],
];
const LISTS: readonly (readonly [Reach, BlockList])[] = NETWORKS.map(([reach, network, bits]) => {
  const list = new BlockList();
  list.addSubnet(network, bits, isIPv6(network) ? 'ipv6' : 'ipv4');
  return [reach, list];
});

/** IPv4 addresses written as IPv6 count as what they are. */
export function reachOf(address: string): Reach {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  return LISTS.find(([, list]) => list.check(address, family))?.[0] ?? 'public';
}

interface GuardParts {
  /** The origin's name, for messages. */
  readonly origin: string;
  /** The host the operator configured. */
  readonly host: string;
  readonly lookup: LookupFunction;
  /** The authorities to trust, asked for at the first TLS connection. */
  readonly trust: () => SecureContext;
  /** How its connections hand over what they read, when not as streams. */
  readonly onread?: OnRead;
}

/** Whether a connection may go to that address. Literal: the address stood in the URL itself. */
type Permits = (address: string, literal: boolean) => Promise<boolean>;

/** The host the operator named may be anywhere but at a link-local address that its name merely resolves to. */
export function permitsOwn(): Permits {
  return async (address, literal) => literal || reachOf(address) !== 'link-local';
}

/** Where an origin may send us: out, into our network by name, and to where the origin itself is. */
export function permitsForeign({ host, lookup }: GuardParts): Permits {
  return async (address, literal) => {
    const reach = reachOf(address);
    if (reach === 'public' || (reach === 'private' && !literal) || address === host) return true;
    if (reach === 'link-local') return false;
    const own = isIP(host) ? [host] : (await resolve(lookup, host)).map((entry) => entry.address);
    return own.some((candidate) => reachOf(candidate) === reach);
  };
}

/** Connects only where permitted. Names are judged by the addresses that are then dialled, so a rebinding cannot slip by. */
export function guardedConnector(parts: GuardParts, permits: Permits): buildConnector.connector {
  const { origin, trust } = parts;
  const refusal = (host: string) => unavailable(origin, `sends us to ${host}, which is no place for it to send us to`);

  async function vet(host: string, options: object): Promise<readonly Resolved[]> {
    const addresses = await resolve(parts.lookup, host, options);
    const verdicts = await Promise.all(addresses.map(({ address }) => permits(address, false)));
    if (addresses.length === 0 || !verdicts.every(Boolean)) throw refusal(host);
    return addresses;
  }

  const lookup: LookupFunction = (host, options, callback) => {
    vet(host, options).then(
      (addresses) => {
        if (options.all) callback(null, [...addresses]);
        else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
      },
      (error: Error) => callback(error, ''),
    );
  };
  const settings = { timeout: connectWaitMs, allowH2: false, lookup, ...(parts.onread && { onread: parts.onread }) };
  const plain = buildConnector(settings);
  let secure: buildConnector.connector | undefined;

  const connect: buildConnector.connector = (options, callback) => {
    if (options.protocol !== 'https:') return plain(options, callback);
    secure ??= buildConnector({ ...settings, secureContext: trust() });
    return secure(options, callback);
  };

  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, '');
    if (!isIP(host)) return connect(options, callback);
    permits(host, true).then(
      (permitted) => (permitted ? connect(options, callback) : callback(refusal(host), null)),
      (error: Error) => callback(error, null),
    );
  };
}

export interface Resolved {
  readonly address: string;
  readonly family: number;
}

/** Every address of a host. */
export function resolve(lookup: LookupFunction, host: string, options: object = {}): Promise<readonly Resolved[]> {
  return new Promise((done, fail) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error) fail(error);
      else if (typeof addresses === 'string') done([{ address: addresses, family: isIP(addresses) }]);
      else done(addresses);
    });
  });
}
