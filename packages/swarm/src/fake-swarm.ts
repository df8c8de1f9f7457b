import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { newSwarmKey, parseSwarmKeys, type SwarmKey } from './key.ts';
import { type SwarmNode, startNode } from './node.ts';
import type { Presence } from './presence.ts';

/** A presence to which everybody is there. */
export const everybodyHere: Pick<Presence, 'isAway' | 'doubt' | 'away'> = {
  isAway: () => false,
  doubt() {},
  away: () => [],
};

/** A key of its own for each test that asks. */
export function testKey(): SwarmKey {
  const [key] = parseSwarmKeys(newSwarmKey(), 'test');
  if (!key) throw new Error('no key');
  return key;
}

/** Names of members that are nowhere. */
export function testMemberNames(count: number): Promise<string[]> {
  const name = async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
  return Promise.all(Array.from({ length: count }, name));
}

/** Nodes of one swarm on this host, each on a free port. */
export async function startNodes(count: number): Promise<AsyncDisposable & { readonly nodes: readonly SwarmNode[] }> {
  const key = testKey();
  const nodes = await Promise.all(Array.from({ length: count }, () => startTestNode([key])));
  return {
    nodes,
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

export async function startTestNode(keys: readonly SwarmKey[]): Promise<SwarmNode> {
  const identity = await generateKeyPair('Ed25519');
  return startNode({ identity, keys, listen: [{ host: '127.0.0.1', port: 0 }], advertise: undefined });
}
