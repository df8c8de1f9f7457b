import { randomBytes } from 'node:crypto';
import { type Digest, type Happening, sha256 } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { type Control, startControl } from './control.ts';
import { type Directory, openDirectory } from './directory.ts';
import { everybodyHere, startNodes, testMemberNames } from './fake-swarm.ts';
import type { SwarmNode } from './node.ts';
import { routingOf } from './routing.ts';

const soon = () => AbortSignal.timeout(10_000);
const digests = (count: number): Digest[] => Array.from({ length: count }, () => sha256(randomBytes(8)));

interface Member {
  readonly id: string;
  readonly node: SwarmNode;
  readonly directory: Directory;
}

/** Members that all know the first, and through it each other. */
async function scene(count: number) {
  const swarm = await startNodes(count);
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(swarm);
  const happenings: Happening[] = [];
  const members: Member[] = [];
  for (const [at, node] of swarm.nodes.entries()) {
    const id = node.peerId.toString();
    const report = (one: Happening) => void happenings.push(one);
    const parts = { node, presence: everybodyHere, report, now: Date.now };
    const self = { member: id, links: [{ host: '10.0.0.1', port: 6000 + at }], zone: undefined };
    const directory = openDirectory({
      self,
      routing: routingOf(node),
      presence: everybodyHere,
      approach: async (digest) => directory.homes(digest),
      control: () => control,
      now: Date.now,
      random: Math.random,
    });
    const control = cleanup.use(await startControl({ ...parts, answerers: directory.answerers }));
    members.push({ id, node, directory });
  }
  const routings = swarm.nodes.map(routingOf);
  for (const [at, node] of swarm.nodes.entries())
    for (const other of swarm.nodes.slice(at + 1)) await node.dial(other.getMultiaddrs());
  await vi.waitFor(() => expect(Math.min(...routings.map((routing) => routing.size()))).toBe(count - 1), 10_000);
  const kept = cleanup.move();
  return {
    members: members as [Member, Member, ...Member[]],
    happenings,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

test('what one member announces, every other finds, with the way to it', async () => {
  await using it = await scene(8);
  const [holder, ...others] = it.members;
  const held = digests(50);
  await holder.directory.announce(held, soon());
  for (const { directory } of others) {
    for (const digest of held.slice(0, 5)) {
      expect((await directory.find(digest, soon())).map(({ member, links }) => [member, links[0]?.port])).toEqual([
        [holder.id, 6000],
      ]);
    }
  }
  await holder.directory.withdraw(held, soon());
  for (const { directory } of others) expect(await directory.find(held[0] as Digest, soon())).toEqual([]);
});

test('a member alone in the world asks nobody, and waits for nobody', async () => {
  await using swarm = await startNodes(1);
  const [node] = swarm.nodes as [SwarmNode];
  const self = { member: node.peerId.toString(), links: [], zone: undefined };
  const control = () => {
    throw new Error('nobody to ask');
  };
  const directory = openDirectory({
    self,
    routing: routingOf(node),
    presence: everybodyHere,
    approach: async (digest) => directory.homes(digest),
    control,
    now: Date.now,
    random: Math.random,
  });
  const [digest] = digests(1) as [Digest];
  await directory.announce([digest], soon());
  expect(await directory.find(digest, soon())).toEqual([]);
  expect(directory.homes(digest)).toEqual([self.member]);
});

test('homes that died are passed over, and the record is found at the next', async () => {
  await using it = await scene(8);
  const [holder, asker] = it.members;
  const held = digests(200);
  await holder.directory.announce(held, soon());
  const isSafe = (home: string) => home !== holder.id && home !== asker.id;
  const digest = held.find((one) => asker.directory.homes(one).every(isSafe)) as Digest;
  const [dead] = asker.directory.homes(digest);
  await it.members.find(({ id }) => id === dead)?.node.stop();
  expect((await asker.directory.find(digest, soon())).map(({ member }) => member)).toEqual([holder.id]);
});

test('nobody can speak for another member, nor pour in what is no digest', async () => {
  await using it = await scene(2);
  const [one, two] = it.members;
  const announce = two.directory.answerers['announce'];
  const contact = { member: one.id, links: [], zone: undefined };
  const refused = (member: string, body: unknown) => expect(announce?.(member, body)).rejects;
  await refused(two.id, { contact, digests: digests(1) }).toThrow('only speak for itself');
  await refused(one.id, { contact, digests: ['sha256:nonsense'] }).toThrow('no digest');
  await refused(one.id, { contact, digests: digests(1001) }).toThrow('too many');
  await refused(one.id, null).toThrow();
});

test('who announces without end is slowed down, and nobody else', async () => {
  await using it = await scene(2);
  const [one, two] = it.members;
  const announce = two.directory.answerers['announce'];
  const say = (member: string) => announce?.(member, { contact: { member, links: [] }, digests: digests(1000) });
  // A slow machine is allowed more, as time passes: it takes a few more until the allowance is used up.
  let tookMs = 0;
  let refusal: unknown;
  for (let batch = 0; batch < 1000 && refusal === undefined; batch++) {
    const from = performance.now();
    await Promise.resolve(say(one.id)).catch((error: unknown) => {
      refusal = error;
    });
    tookMs = performance.now() - from;
  }
  expect(String(refusal)).toContain('records a second');
  expect(tookMs).toBeGreaterThan(400);
  await say(two.id);
});

test('a home that says nothing is waited for once, then the others are asked before it', async () => {
  const [self, silent, one, two] = (await testMemberNames(4)) as [string, string, string, string];
  const asked: string[] = [];
  const control: Control = {
    async ask(member, _kind, _body, signal) {
      asked.push(member.toString());
      if (member.toString() === silent)
        await new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
      return { holders: [], nearer: [] };
    },
    async [Symbol.asyncDispose]() {},
  };
  let time = 0;
  const directory = openDirectory({
    self: { member: self, links: [], zone: undefined },
    routing: {
      nearest: () => [silent, one, two],
      isNearer: () => false,
    },
    presence: everybodyHere,
    approach: async (digest) => directory.homes(digest),
    control: () => control,
    now: () => time,
    random: Math.random,
  });
  const find = async () => {
    asked.length = 0;
    await directory.find(digests(1)[0] as Digest, soon());
    return [...asked];
  };
  expect(await find()).toEqual([silent, one, two]);
  expect(await find()).toEqual([one, two]);
  time += 11_000;
  expect(await find()).toEqual([silent, one, two]);
});
