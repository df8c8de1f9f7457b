import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type Happening, sha256 } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { startAnnouncer } from './announcer.ts';
import { type Control, startControl } from './control.ts';
import { openDirectory } from './directory.ts';
import { type FakeNetwork, startFakeNetwork, startNodeBehind } from './fake-network.ts';
import { testKey } from './fake-swarm.ts';
import { parseJoinTarget, systemResolver } from './join.ts';
import { startJoining } from './joining.ts';
import type { SwarmKey } from './key.ts';
import type { SwarmNode } from './node.ts';
import { watchPresence } from './presence.ts';
import { routingOf } from './routing.ts';

/** A fifth or a tenth of the real ones, so that the test takes seconds. */
const PRESENCE = { lookEveryMs: 100, answerWaitMs: 1000 };
const JOINING = { lonelyEveryMs: 300, contentEveryMs: 1000, resolveEveryMs: 5000 };
const ANNOUNCER = { quietMs: 200, quietMsMax: 500 };
const HOMES_WAIT_MS = 3 * 200;
const SLACK_MS = 400;
const SIDE = 4;

const now = Date.now;
const soon = () => AbortSignal.timeout(10_000);

async function startMember(network: FakeNetwork, key: SwarmKey, joins: SwarmNode | undefined) {
  await using cleanup = new AsyncDisposableStack();
  const node = await startNodeBehind(network, key);
  cleanup.defer(() => node.stop());
  const id = node.peerId.toString();
  const happenings: Happening[] = [];
  const report = (one: Happening) => void happenings.push(one);
  const routing = routingOf(node);
  const presence = cleanup.use(watchPresence({ node, routing, report, now, times: PRESENCE }));
  const self = { member: id, links: [], zone: undefined };
  const directory = openDirectory({ self, routing, presence, control: () => control, now, random: Math.random });
  const control: Control = cleanup.use(
    await startControl({ node, presence, answerers: directory.answerers, report, now }),
  );
  const held: Digest[] = [];
  const announcer = cleanup.use(
    startAnnouncer({ directory, held: () => held, watch: presence.watch, report, now, times: ANNOUNCER }),
  );
  const [, , host, , port] = joins?.getMultiaddrs()[0]?.toString().split('/') ?? [];
  const targets = joins ? [parseJoinTarget(`${host}:${port}`)] : [];
  const file = join(await mkdtemp(join(tmpdir(), 'drayage-partition-')), 'members');
  const joining = { node, routing, presence, targets, resolver: systemResolver, file, report, now, times: JOINING };
  cleanup.use(startJoining({ ...joining, random: Math.random }));
  const kept = cleanup.move();
  return {
    id,
    node,
    directory,
    happenings,
    hold(name: string): Digest {
      const digest = sha256(Buffer.from(name));
      held.push(digest);
      announcer.announce(digest);
      return digest;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

type Member = Awaited<ReturnType<typeof startMember>>;

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
  for (let at = 0; at < 2 * SIDE; at++)
    members.push(cleanup.use(await startMember(network, key, members[at - 1]?.node)));
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
