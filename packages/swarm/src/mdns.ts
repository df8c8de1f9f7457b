import { type PeerInfo, start, stop } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import type { SwarmNode } from './node.ts';

/** Other libp2p programs on the network do not see us, nor we them. */
const SERVICE = '_drayage._udp.local';
const ASK_EVERY_MS = 5000;
const FOUND_MAX = 256;

/** Members that made themselves known on the local network. */
export interface LocalSearch extends AsyncDisposable {
  /** Those heard of since the last call. What they claim is proven when they are dialled. */
  found(): readonly PeerInfo[];
}

/** Asks the local network for members by multicast DNS, and answers others who ask. */
export async function searchLocally(node: SwarmNode): Promise<LocalSearch> {
  const heard = new Map<string, PeerInfo>();
  const addressManager = { getAddresses: () => node.getMultiaddrs() };
  const components = { addressManager, logger: node.logger } as unknown as Parameters<ReturnType<typeof mdns>>[0]; // mdns asks no more of a node than these two
  const search = mdns({ serviceTag: SERVICE, interval: ASK_EVERY_MS })(components);
  search.addEventListener('peer', ({ detail }) => {
    if (heard.size < FOUND_MAX && !detail.id.equals(node.peerId)) heard.set(detail.id.toString(), detail);
  });
  await start(search);
  return {
    found() {
      const all = [...heard.values()];
      heard.clear();
      return all;
    },
    [Symbol.asyncDispose]: () => stop(search),
  };
}
