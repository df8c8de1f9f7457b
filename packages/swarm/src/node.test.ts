import { generateKeyPair } from '@libp2p/crypto/keys';
import { expect, test, vi } from 'vitest';
import { testKey as key, startTestNode } from './fake-swarm.ts';
import type { SwarmKey } from './key.ts';
import { type SwarmNode, startNode } from './node.ts';

async function member(...keys: SwarmKey[]): Promise<SwarmNode & AsyncDisposable> {
  const node = await startTestNode(keys);
  return Object.assign(node, { [Symbol.asyncDispose]: async () => void (await node.stop()) });
}

const meet = (from: SwarmNode, to: SwarmNode) => from.dial(to.getMultiaddrs());

test('members with one key meet', async () => {
  const shared = key();
  await using one = await member(shared);
  await using two = await member(shared);
  const connection = await meet(one, two);
  expect(connection.remotePeer.equals(two.peerId)).toBe(true);
  expect(await one.services.ping.ping(two.peerId)).toBeGreaterThanOrEqual(0);
});

test('a stranger with another key is refused, whoever calls', async () => {
  await using one = await member(key());
  await using two = await member(key());
  await expect(meet(one, two)).rejects.toThrow();
  await expect(meet(two, one)).rejects.toThrow();
  expect([...one.getConnections(), ...two.getConnections()]).toEqual([]);
});

test('a stranger who knows the name of the key but not the key is refused', async () => {
  const real = key();
  await using one = await member(real);
  await using two = await member({ ...key(), id: real.id });
  await expect(meet(two, one)).rejects.toThrow();
  expect(one.getConnections()).toEqual([]);
});

test('while keys are being changed, members with either meet those with both', async () => {
  const [old, young] = [key(), key()];
  await using before = await member(old);
  await using between = await member(young, old);
  await using after = await member(young);
  await meet(before, between);
  await meet(after, between);
  await expect(meet(before, after)).rejects.toThrow();
  expect(between.getConnections()).toHaveLength(2);
});

test('a member that listens on any port at a name of its own announces the port that it got', async () => {
  const keys = [key()];
  const identity = await generateKeyPair('Ed25519');
  const listen = [{ host: '127.0.0.1', port: 0 }];
  const named = await startNode({ identity, keys, listen, advertise: 'localhost' });
  await using other = await member(...keys);
  const [address] = named.getMultiaddrs();
  expect(String(address)).toMatch(/^\/dns\/localhost\/tcp\/[1-9][0-9]*\/p2p\//);
  const connection = await meet(other, named);
  await vi.waitFor(async () => {
    const { addresses } = await other.peerStore.get(connection.remotePeer);
    expect(String(address)).toContain(`${addresses[0]?.multiaddr}/p2p/`);
  });
  await named.stop();
});
