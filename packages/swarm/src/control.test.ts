import { Failure, type Happening } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { type Answerer, type Control, startControl } from './control.ts';
import { startFakeNetwork, startNodeBehind } from './fake-network.ts';
import { everybodyHere, startNodes, testKey } from './fake-swarm.ts';
import type { LinkLines } from './link-lines.ts';
import type { SwarmNode } from './node.ts';
import { toDuplex } from './stream.ts';

const soon = () => AbortSignal.timeout(5000);

async function scene(answerers: Record<string, Answerer>, presence = everybodyHere, lines?: LinkLines) {
  const swarm = await startNodes(2);
  const [near, far] = swarm.nodes as [SwarmNode, SwarmNode];
  await near.dial(far.getMultiaddrs());
  const happenings: Happening[] = [];
  const report = (one: Happening) => void happenings.push(one);
  const asker: Control = await startControl({
    ...{ node: near, presence, answerers: {}, report, now: Date.now },
    ...(lines && { lines }),
  });
  const answering = await startControl({ node: far, presence, answerers, report, now: Date.now });
  return {
    near,
    far,
    asker,
    happenings,
    async [Symbol.asyncDispose]() {
      await asker[Symbol.asyncDispose]();
      await answering[Symbol.asyncDispose]();
      await swarm[Symbol.asyncDispose]();
    },
  };
}

test('a question is answered with who asked it in mind', async () => {
  await using it = await scene({ echo: (member, body) => ({ member, body }) });
  const answer = await it.asker.ask(it.far.peerId.toString(), 'echo', { a: [1] }, soon());
  expect(answer).toEqual({ member: it.near.peerId.toString(), body: { a: [1] } });
});

test('many questions share a stream, and each gets its own answer', async () => {
  await using it = await scene({ double: (_, body) => Number(body) * 2 });
  const all = Array.from({ length: 200 }, (_, at) => it.asker.ask(it.far.peerId.toString(), 'double', at, soon()));
  expect(await Promise.all(all)).toEqual(Array.from({ length: 200 }, (_, at) => at * 2));
  const streams = it.near.getConnections().flatMap(({ streams }) => streams);
  expect(streams.filter(({ protocol }) => protocol === '/drayage/control/1.0.0')).toHaveLength(1);
});

test('a refusal, an unknown question and a member that is gone are told', async () => {
  await using it = await scene({
    refuse: () => {
      throw new Failure('denied', 'not for you');
    },
  });
  await expect(it.asker.ask(it.far.peerId.toString(), 'refuse', null, soon())).rejects.toMatchObject({
    cause: { message: 'not for you' },
  });
  await expect(it.asker.ask(it.far.peerId.toString(), 'toString', null, soon())).rejects.toMatchObject({
    cause: { message: 'no such question' },
  });
  await it.far.stop();
  await expect(it.asker.ask(it.far.peerId.toString(), 'refuse', null, soon())).rejects.toMatchObject({
    code: 'member_unreachable',
  });
});

test('a question that is given up ends alone', async () => {
  const gate = Promise.withResolvers<number>();
  await using it = await scene({ slow: () => gate.promise });
  const stop = new AbortController();
  const given = it.asker.ask(it.far.peerId.toString(), 'slow', null, stop.signal);
  const other = it.asker.ask(it.far.peerId.toString(), 'slow', null, soon());
  stop.abort(new Error('enough'));
  await expect(given).rejects.toThrow('enough');
  gate.resolve(7);
  expect(await other).toBe(7);
});

test('a member is asked on the link with it when that will do, and on the stream otherwise', async () => {
  const nothing = () => {};
  const lines: LinkLines = {
    ask: async (_member, _kind, body) => (body === 'short' ? { body: 'by link' } : undefined),
    ...{ answerWith: nothing, questioned: nothing, answered: nothing, ended: nothing },
  };
  await using it = await scene({ echo: () => 'by stream' }, everybodyHere, lines);
  const ask = (body: string) => it.asker.ask(it.far.peerId.toString(), 'echo', body, soon());
  expect(await ask('short')).toBe('by link');
  expect(await ask('long')).toBe('by stream');
});

test('a member that is known to be away is not waited for', async () => {
  const presence = { ...everybodyHere, isAway: () => true };
  await using it = await scene({ echo: (_member, body) => body }, presence);
  const asked = it.asker.ask(it.far.peerId.toString(), 'echo', 1, soon());
  await expect(asked).rejects.toMatchObject({ code: 'member_unreachable', cause: { message: 'it is not connected' } });
});

test('a member that fell silent is doubted, holds nobody up longer than they wait, and fills no memory', async () => {
  await using cleanup = new AsyncDisposableStack();
  const network = cleanup.use(startFakeNetwork());
  const key = testKey();
  const [near, far] = [await startNodeBehind(network, key), await startNodeBehind(network, key)];
  cleanup.defer(async () => void (await Promise.all([near.stop(), far.stop()])));
  const doubted: string[] = [];
  const presence = { ...everybodyHere, doubt: (member: string) => void doubted.push(member) };
  const parts = { presence, report: () => {}, now: Date.now };
  const asker = cleanup.use(await startControl({ ...parts, node: near, answerers: {} }));
  cleanup.use(await startControl({ ...parts, node: far, answerers: { echo: (_member, body) => body } }));
  await near.dial(far.getMultiaddrs());
  expect(await asker.ask(far.peerId.toString(), 'echo', 1, soon())).toBe(1);
  network.cut(() => true);
  const from = performance.now();
  await expect(asker.ask(far.peerId.toString(), 'echo', 2, AbortSignal.timeout(200))).rejects.toThrow('timeout');
  expect(performance.now() - from).toBeLessThan(500);
  expect(doubted).toEqual([far.peerId.toString()]);
  const large = 'x'.repeat(200_000);
  const given = AbortSignal.timeout(1000);
  const all = Array.from({ length: 60 }, () => asker.ask(far.peerId.toString(), 'echo', large, given));
  const problems = (await Promise.allSettled(all)).map((one) => String(one.status === 'rejected' && one.reason.cause));
  expect(problems.filter((problem) => problem.includes('does not take our questions')).length).toBeGreaterThan(30);
});

test.each<[string, Buffer]>([
  ['an absurd length', Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['no JSON', Buffer.from([0, 0, 0, 2, 0x7b, 0x7b])],
  ['no question', Buffer.concat([Buffer.from([0, 0, 0, 4]), Buffer.from('null')])],
  ['half a message', Buffer.from([0, 0, 0, 9, 0x7b])],
])('a member that sends %s is hung up on, and others are not disturbed', async (_, bytes) => {
  await using it = await scene({ echo: (_member, body) => body });
  const stream = toDuplex(await it.near.dialProtocol(it.far.peerId, '/drayage/control/1.0.0'));
  stream.on('error', () => {});
  stream.resume();
  stream.end(bytes);
  await vi.waitFor(() =>
    expect(it.happenings).toContainEqual(expect.objectContaining({ kind: 'error', where: 'control' })),
  );
  expect(await it.asker.ask(it.far.peerId.toString(), 'echo', 1, soon())).toBe(1);
});

test('a member that asks without end is hung up on', async () => {
  await using it = await scene({ echo: (_member, body) => body });
  const ask = () => it.asker.ask(it.far.peerId.toString(), 'echo', 1, soon());
  const flood = async () => {
    for (let round = 0; round < 50; round++) await Promise.all(Array.from({ length: 200 }, ask));
  };
  await expect(flood()).rejects.toMatchObject({ code: 'member_unreachable' });
  expect(it.happenings).toContainEqual(
    expect.objectContaining({ problem: expect.stringContaining('questions a second') }),
  );
});

test('a member has so many streams with us and no more, over however many connections', async () => {
  await using it = await scene({ echo: (_member, body) => body });
  const open = async () => {
    const connection = await it.near.dial(it.far.getMultiaddrs(), { force: true });
    const streams = Array.from({ length: 3 }, () => connection.newStream('/drayage/control/1.0.0'));
    return Promise.allSettled(streams);
  };
  for (let at = 0; at < 4; at++) await open();
  const streams = () => it.far.getConnections().flatMap((one) => one.streams);
  const talking = () => streams().filter(({ protocol, status }) => protocol.includes('control') && status === 'open');
  await vi.waitFor(() => expect(talking()).toHaveLength(4));
});
