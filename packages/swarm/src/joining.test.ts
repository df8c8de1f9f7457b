import { mkdtemp, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Happening } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { keepAcquaintances, REACH } from './acquaintances.ts';
import { type Control, startControl } from './control.ts';
import { everybodyHere, startTestNode, testKey } from './fake-swarm.ts';
import { openIntroductions } from './introductions.ts';
import { parseJoinTarget, type Resolver } from './join.ts';
import { startJoining } from './joining.ts';
import type { SwarmKey } from './key.ts';
import type { SwarmNode } from './node.ts';
import { routingOf } from './routing.ts';

const nobody: Resolver = { addresses: async () => [], services: async () => [] };
const file = async () => join(await mkdtemp(join(tmpdir(), 'drayage-joining-')), 'members');

async function member(key: SwarmKey, targets: readonly string[], remembered?: string) {
  const node = await startTestNode([key]);
  const happenings: Happening[] = [];
  const routing = routingOf(node);
  const [report, now, random] = [(one: Happening) => void happenings.push(one), Date.now, Math.random];
  const acquaintances = keepAcquaintances(node, routing);
  const reach = REACH;
  const introductions = openIntroductions({ node, routing, acquaintances, reach, control: () => control, now, random });
  const { answerers } = introductions;
  const control: Control = await startControl({ node, presence: everybodyHere, answerers, report, now });
  const joining = startJoining({
    node,
    routing,
    introductions,
    approach: { isLarge: () => false },
    parting: { thin: async () => {} },
    targets: targets.map(parseJoinTarget),
    resolver: nobody,
    file: remembered ?? (await file()),
    presence: everybodyHere,
    report,
    now,
    random,
  });
  return {
    node,
    happenings,
    async [Symbol.asyncDispose]() {
      await joining[Symbol.asyncDispose]();
      await control[Symbol.asyncDispose]();
      await node.stop();
    },
  };
}

const addressOf = (node: SwarmNode) => `127.0.0.1:${node.getMultiaddrs()[0]?.toString().split('/')[4]}`;
const meets = (one: SwarmNode, other: SwarmNode) =>
  vi.waitFor(() => expect(one.getConnections(other.peerId)).not.toEqual([]), 10_000);

test('a member joins by one address and gets to know the others through it', async () => {
  const key = testKey();
  await using first = await member(key, []);
  await using second = await member(key, [addressOf(first.node)]);
  await meets(second.node, first.node);
  await using third = await member(key, [addressOf(first.node)]);
  await meets(third.node, second.node);
});

test('a member finds the swarm again by those it knew, with no target at all', async () => {
  const key = testKey();
  const remembered = await file();
  await using first = await member(key, []);
  {
    await using before = await member(key, [addressOf(first.node)], remembered);
    await meets(before.node, first.node);
    await vi.waitFor(async () => expect(await readFile(remembered, 'utf8')).toContain('/tcp/'));
  }
  await using again = await member(key, [], remembered);
  await meets(again.node, first.node);
});

test('a member that is connected but was not taken in is taken in later', async () => {
  const key = testKey();
  await using first = await member(key, []);
  await using second = await member(key, [addressOf(first.node)]);
  await meets(second.node, first.node);
  const routing = routingOf(second.node);
  await vi.waitFor(() => expect(routing.size()).toBe(1), 10_000);
  await routing.forget(first.node.peerId);
  expect(routing.size()).toBe(0);
  await vi.waitFor(() => expect(routing.size()).toBe(1), 15_000);
});

test('a target that refuses or does not exist is told by its name once, and tried again', async () => {
  await using first = await member(testKey(), []);
  const address = addressOf(first.node);
  let tries = 0;
  await using deaf = await serve((socket) => {
    tries++;
    socket.destroy();
  });
  await using stranger = await member(testKey(), [address, `127.0.0.1:${deaf.port}`, 'dns:nobody.example']);
  await vi.waitFor(() => expect(tries).toBeGreaterThan(1), 15_000);
  const problems = stranger.happenings.map((one) => (one.kind === 'error' ? one.problem : ''));
  const told = (words: string) => problems.filter((problem) => problem.includes(words));
  expect(told(`/tcp/${address.split(':')[1]} refused us or is away`)).toHaveLength(1);
  expect(told('no member is found by the name nobody.example')).toHaveLength(1);
  expect(first.node.getConnections()).toEqual([]);
});

async function serve(answer: (socket: Socket) => void) {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void (await new Promise((done) => server.close(done))),
  };
}
