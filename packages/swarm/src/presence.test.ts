import { expect, test, vi } from 'vitest';
import { type FakeNetwork, startFakeNetwork, startNodeBehind } from './fake-network.ts';
import { testKey } from './fake-swarm.ts';
import type { SwarmNode } from './node.ts';
import { type Presence, watchPresence } from './presence.ts';
import { routingOf } from './routing.ts';

const SECOND_MS = 1000;

interface Scene extends AsyncDisposable {
  readonly network: FakeNetwork;
  readonly near: SwarmNode;
  readonly far: SwarmNode;
  readonly presence: Presence;
  readonly changed: string[];
}

async function scene(times: { lookEveryMs: number; answerWaitMs: number }): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack();
  const network = cleanup.use(startFakeNetwork());
  const key = testKey();
  const near = await startNodeBehind(network, key);
  cleanup.defer(() => near.stop());
  const far = await startNodeBehind(network, key);
  cleanup.defer(() => far.stop());
  const routing = routingOf(near);
  const presence = cleanup.use(watchPresence({ node: near, routing, report: () => {}, now: Date.now, times }));
  await near.dial(far.getMultiaddrs());
  await vi.waitFor(() => expect(routing.size()).toBe(1), 5000);
  const changed: string[] = [];
  presence.watch((member) => changed.push(member));
  const kept = cleanup.move();
  return { network, near, far, presence, changed, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

test('a member that falls silent is found out, is near nothing, and is welcome when it returns', async () => {
  await using it = await scene({ lookEveryMs: 50, answerWaitMs: 300 });
  const far = it.far.peerId.toString();
  it.network.cut(() => true);
  await vi.waitFor(() => expect(it.presence.isAway(far)).toBe(true), 5000);
  expect(it.presence.away().map(String)).toEqual([far]);
  expect(it.changed).toEqual([far]);
  await vi.waitFor(() => expect(routingOf(it.near).size()).toBe(0));
  it.network.heal();
  await it.near.dial(it.far.peerId);
  expect(it.presence.isAway(far)).toBe(false);
  await vi.waitFor(() => expect(routingOf(it.near).size()).toBe(1), 5000);
  expect(it.changed).toEqual([far, far]);
});

test('whoever waited in vain has the member asked at once', async () => {
  await using it = await scene({ lookEveryMs: 3600 * SECOND_MS, answerWaitMs: 300 });
  it.network.cut(() => true);
  it.presence.doubt(it.far.peerId.toString());
  await vi.waitFor(() => expect(it.presence.isAway(it.far.peerId.toString())).toBe(true), 2000);
});

test('a busy member is no dead one, be it us or the other', async () => {
  await using it = await scene({ lookEveryMs: 20, answerWaitMs: 200 });
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const until = performance.now() + SECOND_MS;
    while (performance.now() < until);
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(it.near.getConnections()).not.toEqual([]);
  expect(it.changed).toEqual([]);
});

test('a member that parts is neither lost nor away, and near nothing', async () => {
  await using it = await scene({ lookEveryMs: 3600 * SECOND_MS, answerWaitMs: 300 });
  const [near, far] = [it.near.peerId, it.far.peerId.toString()];
  it.presence.part(far);
  await it.far.hangUp(near);
  await vi.waitFor(() => expect(it.near.getConnections()).toEqual([]), 5000);
  await vi.waitFor(() => expect(routingOf(it.near).size()).toBe(0));
  expect([it.presence.isAway(far), it.presence.away(), it.changed]).toEqual([false, [], []]);
});
