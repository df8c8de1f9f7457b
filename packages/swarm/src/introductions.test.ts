import { expect, test, vi } from 'vitest';
import { keepAcquaintances, REACH } from './acquaintances.ts';
import { type Answerer, type Control, startControl } from './control.ts';
import { everybodyHere, startNodes, testMemberNames } from './fake-swarm.ts';
import { type Introductions, openIntroductions } from './introductions.ts';
import type { SwarmNode } from './node.ts';
import { type Routing, routingOf } from './routing.ts';

const soon = () => AbortSignal.timeout(10_000);
const idOf = (node: SwarmNode) => node.peerId.toString();

interface Member {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly introductions: Introductions;
  ask(other: SwarmNode, body: unknown): Promise<unknown>;
}

/** Members that know the first, and who it is; the first may answer what the test likes. */
async function scene(count: number, introduce?: Answerer) {
  await using cleanup = new AsyncDisposableStack();
  const { nodes } = cleanup.use(await startNodes(count));
  const members: Member[] = [];
  for (const [at, node] of nodes.entries()) {
    const routing = routingOf(node);
    const introductions = openIntroductions({
      ...{ node, routing, reach: REACH, acquaintances: keepAcquaintances(node, routing) },
      ...{ control: () => control, now: () => 0, random: () => 0.5 },
    });
    const answerers = at === 0 && introduce ? { introduce } : introductions.answerers;
    const parts = { node, presence: everybodyHere, report: () => {}, now: Date.now };
    const control: Control = cleanup.use(await startControl({ ...parts, answerers }));
    const ask: Member['ask'] = (other, body) => control.ask(idOf(other), 'introduce', body, soon());
    members.push({ node, routing, introductions, ask });
  }
  const [first, ...others] = members as [Member, ...Member[]];
  for (const { node } of others) await node.dial(first.node.getMultiaddrs());
  for (const { routing } of others) await vi.waitFor(() => expect(routing.size()).toBeGreaterThan(0), 10_000);
  await vi.waitFor(() => expect(first.routing.size()).toBe(count - 1), 10_000);
  const kept = cleanup.move();
  return { first, others, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

test('a newcomer that knows one member meets all the others by one question', async () => {
  await using it = await scene(6);
  const newcomer = it.others[4] as Member;
  // kad-dht, which looks for members when it starts, may have been faster with some.
  expect((await newcomer.introductions.meet(soon())).missed).toBe(0);
  await vi.waitFor(() => expect(newcomer.routing.size()).toBe(5), 10_000);
  expect(newcomer.node.getPeers()).toHaveLength(5);
  expect(await newcomer.introductions.meet(soon())).toEqual({ met: 0, missed: 0 });
});

test('one member near us is asked, and one at random', async () => {
  const asked: string[] = [];
  const peers = Array.from({ length: 20 }, (_, at) => `m${at}`);
  const node = { peerId: 'self', getPeers: () => peers, addEventListener: () => {} } as unknown as SwarmNode; // no more is asked of it here
  const near = (member: string, count: number) => (member === 'self' && count < 20 ? ['self', 'away', 'm7'] : []);
  const introductions = openIntroductions({
    node,
    routing: { around: near, view: () => 0 } as unknown as Routing, // no more is asked of it here
    acquaintances: keepAcquaintances(node, { meet() {} }),
    reach: REACH,
    control: () => ({ ask: async (member: string) => void asked.push(member) }) as unknown as Control, // no more is asked of it here
    now: () => 0,
    random: () => 0.5,
  });
  await introductions.meet(soon());
  expect(asked).toEqual(['m7', 'm10']);
});

test('who sees what we see is told nothing, nor is who asks without end', async () => {
  await using it = await scene(3);
  const asker = it.others[0] as Member;
  const named = [{ member: idOf(it.others[1]?.node as SwarmNode), addresses: [expect.stringContaining('/tcp/')] }];
  expect(await asker.ask(it.first.node, { view: it.first.routing.view() })).toEqual([]);
  const answers = await Promise.all(Array.from({ length: 30 }, () => asker.ask(it.first.node, null)));
  expect(answers.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => named));
  expect(answers.slice(20)).toEqual(Array.from({ length: 10 }, () => []));
});

test.each<[string, (name: string, address: string) => unknown]>([
  ['no list', () => ({ length: 5 })],
  ['no members', () => [null, 7, {}, { member: 'nobody', addresses: [] }]],
  ['no addresses', (member) => [{ member }, { member, addresses: [null, '/ip4/127.0.0.1', 'x'.repeat(1000)] }]],
  ['a port out of range', (member) => [{ member, addresses: ['/ip4/127.0.0.1/tcp/99999'] }]],
  ['another at its own address', (member, address) => [{ member, addresses: [address] }]],
])('whoever introduces %s has us meet nobody', async (_, say) => {
  const said = { answer: undefined as unknown };
  await using it = await scene(2, () => said.answer);
  await using swarm = await startNodes(1);
  const [other] = swarm.nodes as [SwarmNode];
  const [asker] = it.others as [Member];
  said.answer = say(idOf(other), String(it.first.node.getMultiaddrs()[0]).replace(/\/p2p\/.*/, ''));
  expect((await asker.introductions.meet(soon())).met).toBe(0);
  expect(asker.node.getPeers()).toEqual([it.first.node.peerId]);
});

test('who has connections enough meets those near alone', async () => {
  const [self, friend, near, far] = (await testMemberNames(4)) as [string, string, string, string];
  const met: string[] = [];
  const answer = [near, far].map((member) => ({ member, addresses: ['/ip4/10.0.0.1/tcp/5001'] }));
  const connected = new Set([friend]);
  const introductions = openIntroductions({
    node: { peerId: self } as unknown as SwarmNode, // no more is asked of it here
    routing: { around: () => [], view: () => 0, nearestToUs: () => new Set([near]) } as unknown as Routing, // no more is asked of it here
    acquaintances: {
      connected,
      introduce: () => [],
      meet: async ({ member }) => met.push(member) > 0,
    },
    control: () => ({ ask: async () => answer }) as unknown as Control, // no more is asked of it here
    reach: { ...REACH, wanted: 1 },
    now: () => 0,
    random: () => 0,
  });
  expect(await introductions.meet(soon())).toEqual({ met: 1, missed: 0 });
  expect(met).toEqual([near]);
});
