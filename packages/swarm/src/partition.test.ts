import type { Digest } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { type TestMember as Member, startTestMember } from './fake-membership.ts';
import { startFakeNetwork, startNodeBehind } from './fake-network.ts';
import { testKey } from './fake-swarm.ts';

/** A fifth or a tenth of the real ones, so that the test takes seconds. */
const times = {
  presence: { lookEveryMs: 100, answerWaitMs: 1000 },
  joining: { lonelyEveryMs: 300, contentEveryMs: 1000, resolveEveryMs: 5000 },
  announcer: { quietMs: 200, quietMsMax: 500 },
};
const HOMES_WAIT_MS = 3 * 200;
const SLACK_MS = 400;
const SIDE = 4;

const soon = () => AbortSignal.timeout(10_000);

/** Everybody on one list finds each of the blobs, with its holder. */
async function isWhole(members: readonly Member[], blobs: ReadonlyMap<Digest, Member>): Promise<void> {
  for (const member of members) {
    for (const [digest, holder] of blobs) {
      if (holder === member) continue;
      const found = await member.directory.find(digest, soon());
      expect(found.map((contact) => contact.member)).toEqual([holder.id]);
    }
  }
}

test('a swarm that is split works on on both sides, and is whole again when it is healed', async () => {
  await using cleanup = new AsyncDisposableStack();
  const network = cleanup.use(startFakeNetwork());
  const key = testKey();
  const members: Member[] = [];
  for (let at = 0; at < 2 * SIDE; at++) {
    const joins = members.slice(-1).map((last) => last.node.getMultiaddrs()[0]?.toString().split('/') ?? []);
    const node = await startNodeBehind(network, key);
    const parts = { node, joins: joins.map(([, , host, , port]) => `${host}:${port}`), times };
    members.push(cleanup.use(await startTestMember(parts)));
  }
  const sides = [members.slice(0, SIDE), members.slice(SIDE)] as const;
  const sideOf = (id: string) => sides.findIndex((side) => side.some((member) => member.id === id));
  const blobs = new Map(
    members.flatMap((member, at) => [0, 1].map((n) => [member.hold(`${at} ${n}`), member] as const)),
  );
  await vi.waitFor(() => isWhole(members, blobs), 15_000);

  const ports = new Set<number>();
  for (const { id, node } of members)
    for (const { direction, remotePeer, remoteAddr } of node.getConnections())
      if (direction === 'inbound' && sideOf(remotePeer.toString()) !== sideOf(id))
        ports.add(Number(remoteAddr.toString().split('/')[4]));
  expect(ports.size).toBeGreaterThanOrEqual(SIDE * SIDE);
  network.cut((port) => ports.has(port));

  const slowest = { ms: 0 };
  const ask = async (member: Member, digest: Digest) => {
    const from = performance.now();
    await member.directory.find(digest, soon());
    slowest.ms = Math.max(slowest.ms, performance.now() - from);
  };
  await Promise.all(members.map((member) => ask(member, [...blobs.keys()][0] as Digest)));
  expect(slowest.ms).toBeLessThan(HOMES_WAIT_MS + SLACK_MS);

  const isOfSide = (side: number) => (digest: Digest) => sideOf(blobs.get(digest)?.id ?? '') === side;
  for (const [at, side] of sides.entries()) {
    const first = side[0] as Member;
    blobs.set(first.hold(`born in split ${at}`), first);
    const own = new Map([...blobs].filter(([digest]) => isOfSide(at)(digest)));
    await vi.waitFor(() => {
      for (const { directory } of side)
        for (const digest of own.keys()) for (const home of directory.homes(digest)) expect(sideOf(home)).toBe(at);
    }, 10_000);
    await vi.waitFor(() => isWhole(side, own), 10_000);
  }

  network.heal();
  const healedAt = performance.now();
  await vi.waitFor(() => isWhole(members, blobs), 15_000);
  expect(performance.now() - healedAt).toBeLessThan(10_000);
  const problems = members.flatMap(({ happenings }) => happenings.filter(({ kind }) => kind === 'error'));
  expect(problems.length).toBeLessThan(40);
}, 60_000);
