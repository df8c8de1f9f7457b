import { noise } from '@chainsafe/libp2p-noise';
import { Failure } from '@drayage/core';
import { type Identify, identify } from '@libp2p/identify';
import type { ConnectionEncrypter, Ed25519PrivateKey, Libp2p } from '@libp2p/interface';
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { type Ping, ping } from '@libp2p/ping';
import { type TCPOptions, tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { GATE_LIMITS, type GateLimits, openGate } from './gate.ts';
import type { SwarmKey } from './key.ts';

const PREFIX = 'drayage';
/** Below the 4 MiB that a stream may hold unread, or pausing it ends it. */
const STREAM_WINDOW_BYTES_MAX = 2 * 1024 * 1024;
const CONNECTIONS_MAX = 1000;
/** Several members may stand behind one address; the library's 5 a second shuts them out. */
const CONNECTIONS_PER_ADDRESS_PER_SECOND_MAX = 1000;
const DIAL_WAIT_MS = 5000;
/** The kernel asks a silent connection this often, and ends it after ten seconds without an answer: at no cost to us, and however busy we are. */
const TCP_KEEPALIVE_MS = 2000;
/** Once, for the round trip time; `presence` looks after who is alive. */
const YAMUX_PING_EVERY_MS = 3600 * 1000;
const DAY_MS = 24 * 3600 * 1000;
/** How often kad-dht searches its own tables through, at some hundred messages: whom we meet is told by other members at once. */
const SEARCH_EVERY_MS = 3600 * 1000;

const TCP: TCPOptions = {
  dialOpts: { keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
  listenOpts: { keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
  // A quiet member is a member.
  inboundSocketInactivityTimeout: 0,
  outboundSocketInactivityTimeout: 0,
};

export interface NodeParts {
  readonly identity: Ed25519PrivateKey;
  /** The first is used for new connections, all are accepted. */
  readonly keys: readonly SwarmKey[];
  /** Where to listen, as `host` and `port`. */
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  /** The host other members dial; every address of this host when undefined. */
  readonly advertise: string | undefined;
  readonly gate?: GateLimits;
}

/** What routing there is: who exists, and who is near a key. */
export type SwarmNode = Libp2p<{ readonly identify: Identify; readonly ping: Ping; readonly dht: KadDHT }>;

interface DhtInside {
  readonly routingTableRefresh: { refreshInterval: number };
}

/** A libp2p node that speaks only to those who have the swarm key. */
export async function startNode({
  identity,
  keys,
  listen,
  advertise,
  gate = GATE_LIMITS,
}: NodeParts): Promise<SwarmNode> {
  const ports = new Set<number>();
  const member = peerIdFromPrivateKey(identity);
  const announced = (host: string, port: number) => multiaddr(`${multiaddrOf(host, port)}/p2p/${member}`);
  try {
    const node = await createLibp2p({
      start: false,
      privateKey: identity,
      addresses: {
        listen: listen.map(({ host, port }) => multiaddrOf(host, port)),
        // The ports that were bound, which port 0 does not tell, at the name that was given.
        ...(advertise !== undefined && { announceFilter: () => [...ports].map((port) => announced(advertise, port)) }),
      },
      transports: [tcp(TCP)],
      connectionEncrypters: keys.map(memberNoise),
      streamMuxers: [
        yamux({
          keepAliveInterval: YAMUX_PING_EVERY_MS,
          streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX },
        }),
      ],
      connectionManager: {
        maxConnections: CONNECTIONS_MAX,
        maxIncomingPendingConnections: gate.pendingMax,
        inboundConnectionThreshold: CONNECTIONS_PER_ADDRESS_PER_SECOND_MAX,
        dialTimeout: DIAL_WAIT_MS,
      },
      connectionGater: openGate(gate, () => performance.now()),
      // It hangs up on a busy member, and asks each connection at a millisecond of CPU.
      connectionMonitor: { enabled: false },
      peerStore: { maxAddressAge: DAY_MS, maxPeerAge: 2 * DAY_MS },
      services: {
        identify: identify({ protocolPrefix: PREFIX }),
        ping: ping({ protocolPrefix: PREFIX }),
        dht: kadDHT({
          protocol: `/${PREFIX}/kad/1.0.0`,
          clientMode: false,
          // Members live on private networks.
          peerInfoMapper: passthroughMapper,
          allowQueryWithZeroPeers: true,
          initialQuerySelfInterval: 50,
          querySelfInterval: SEARCH_EVERY_MS,
          kBucketSize: 20,
          // We keep the records ourselves.
          validators: {},
          selectors: {},
          networkDialTimeout: { minTimeout: 1000, maxTimeout: DIAL_WAIT_MS },
        }),
      },
    });
    node.addEventListener('transport:listening', ({ detail }) => {
      for (const address of detail.getAddrs()) ports.add(Number(address.toString().split('/')[4]));
    });
    const { routingTableRefresh } = node.services.dht as unknown as DhtInside; // kad-dht keeps it from its types, and has no option for it
    routingTableRefresh.refreshInterval = SEARCH_EVERY_MS;
    await node.start();
    return node;
  } catch (error) {
    throw new Failure(
      'options_invalid',
      `the swarm cannot listen on ${listen.map(({ host, port }) => `${host}:${port}`).join(', ')}`,
      { cause: error },
    );
  }
}

/** The key is part of the handshake: without it the first encrypted message cannot be read. Its name lets two keys live side by side. */
function memberNoise(key: SwarmKey): (components: Parameters<ReturnType<typeof noise>>[0]) => ConnectionEncrypter {
  const make = noise({ prologueBytes: key.derive('noise prologue') });
  return (components) => Object.assign(make(components), { protocol: `/${PREFIX}/noise/${key.id}` });
}

export function multiaddrOf(host: string, port: number): string {
  const family = host.includes(':') ? 'ip6' : /^[0-9.]+$/.test(host) ? 'ip4' : 'dns';
  return `/${family}/${host}/tcp/${port}`;
}
