import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, planPieces, type Remote, sha256 } from '@drayage/core';
import { fakeRemote, memoryStore, readFrom } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import type { Link, Wanted } from '../link/types.ts';
import { attestations } from './attestation.ts';
import { type FakeHost, type FakeSwarm, newIdentity, startFakeSwarm } from './fake-hosts.ts';
import { attest, claimAll, flipped, outgoing, pieceOf, type Rogue, startRogue } from './fake-rogue.ts';

const SIZE = 1_500_000;
const COUNT = planPieces(SIZE).count;
const NO_TERMS = { zone: undefined };

interface Scene extends AsyncDisposable {
  readonly swarm: FakeSwarm;
  readonly hosts: readonly FakeHost[];
  readonly rogue: Rogue;
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly remote: Remote & { readonly sentBytes: number };
}

/** Honest hosts, of which the first is home, and one that is not; all are on record with what the test gives it. */
async function setScene(count: number): Promise<Scene> {
  const swarm = startFakeSwarm();
  const bytes = randomBytes(SIZE);
  const digest = sha256(bytes);
  const remote = fakeRemote(new Map([[digest, bytes]]));
  remote.beforeChunk = () => new Promise((resolve) => setImmediate(resolve));
  const hosts = await Promise.all(Array.from({ length: count }, () => swarm.host()));
  const rogue = await startRogue(swarm);
  rogue.answer({});
  swarm.homes.push(hosts[0]?.member ?? '');
  return { swarm, hosts, rogue, bytes, digest, remote, [Symbol.asyncDispose]: swarm[Symbol.asyncDispose] };
}

/** Every honest host pulls at once: all of them get the blob, no reader sees another byte, and nothing is left over. */
async function pullAll({ hosts, bytes, digest, remote, swarm, rogue }: Scene): Promise<void> {
  const pulls = await Promise.all(hosts.map((host) => host.pull(bytes, remote)));
  for (const { read } of pulls) expect(read).toBe('right');
  for (const { store, exchange, happenings } of hosts) {
    await using blob = await store.open(digest);
    expect(blob && (await readFrom(blob, 0)).equals(bytes)).toBe(true);
    await vi.waitFor(() => expect(exchange.heldBytes()).toBe(0));
    expect(happenings.filter(({ kind }) => kind === 'error')).toEqual([]);
    // Nobody but the rogue is blamed.
    for (const happening of happenings)
      if (happening.kind === 'quarantined' || happening.kind === 'piece_rejected')
        expect(happening.member).toBe(rogue.member);
  }
  expect(swarm.faults).toEqual([]);
}

type Misdeed = (link: Link, wanted: Wanted, scene: Scene) => void;

const give = (link: Link, wanted: Wanted, piece: Buffer, attestation: Buffer) =>
  void link.send(outgoing(wanted, piece, attestation)).catch(() => undefined);

const stranger = attestations(await newIdentity());

const misdeeds: readonly [what: string, mark: 'lie' | 'misses' | undefined, misdeed: Misdeed][] = [
  [
    'sends flipped bits and attests them',
    'lie',
    (link, wanted, { bytes, digest, rogue }) => {
      const piece = flipped(pieceOf(bytes, wanted.piece));
      give(link, wanted, piece, attest(rogue.attestations, digest, wanted.piece, piece));
    },
  ],
  [
    "sends flipped bits with another's attestation of the right ones",
    'lie',
    (link, wanted, { bytes, digest }) => {
      const piece = pieceOf(bytes, wanted.piece);
      give(link, wanted, flipped(piece), attest(stranger, digest, wanted.piece, piece));
    },
  ],
  [
    'replays an attestation of another piece',
    'lie',
    (link, wanted, { bytes, digest }) => {
      const piece = pieceOf(bytes, wanted.piece);
      give(link, wanted, piece, attest(stranger, digest, wanted.piece + 1, piece));
    },
  ],
  [
    'sends garbage for an attestation',
    'lie',
    (link, wanted, { bytes }) => give(link, wanted, pieceOf(bytes, wanted.piece), randomBytes(128)),
  ],
  ['has none of what it claims', 'misses', (link, { channel, piece }) => link.gone(channel, piece)],
  ['is always busy', undefined, (link, { channel, piece }) => link.busy(channel, piece)],
  ['never sends anything', undefined, () => {}],
  [
    'sends half of each piece',
    undefined,
    (link, wanted, { bytes, digest, rogue }) => {
      const piece = pieceOf(bytes, wanted.piece);
      give(link, wanted, piece.subarray(0, piece.length / 2), attest(rogue.attestations, digest, wanted.piece, piece));
    },
  ],
  [
    'sends more than a piece',
    undefined,
    (link, wanted, { bytes, digest, rogue }) => {
      const piece = pieceOf(bytes, wanted.piece);
      const more = Buffer.concat([piece, piece]);
      give(link, wanted, more, attest(rogue.attestations, digest, wanted.piece, piece));
    },
  ],
  [
    'dribbles',
    undefined,
    (link, wanted, { bytes, digest, rogue }) => {
      const piece = pieceOf(bytes, wanted.piece);
      const slow = outgoing(wanted, piece, attest(rogue.attestations, digest, wanted.piece, piece));
      const read = async (into: Buffer, offset: number) => {
        await sleep(200, undefined, { ref: false });
        return await slow.read(into.subarray(0, 1), offset);
      };
      link.send({ ...slow, read }).catch(() => undefined);
    },
  ],
];

const harmsNobody = async (_what: string, mark: string | undefined, misdeed: Misdeed): Promise<void> => {
  await using scene = await setScene(3);
  const { swarm, rogue } = scene;
  swarm.holders.push(rogue.contact);
  claimAll(rogue, SIZE);
  rogue.onWant = (link, wanted) => misdeed(link, wanted, scene);
  await pullAll(scene);
  if (mark) expect(scene.hosts.map(({ marks }) => marks.list().get(rogue.member)?.why)).toContain(mark);
};
// Misses are counted by the half second, so who misses needs the processor for itself.
const [byTheClock, atOnce] = [true, false].map((is) => misdeeds.filter(([, mark]) => (mark === 'misses') === is));
test.each(byTheClock ?? [])('a holder that %s harms nobody', { timeout: 60_000 }, harmsNobody);
test.concurrent.each(atOnce ?? [])('a holder that %s harms nobody', { timeout: 60_000 }, harmsNobody);

test.concurrent('a member that never answers an opened channel holds nobody up', async () => {
  await using scene = await setScene(2);
  scene.swarm.holders.push(scene.rogue.contact);
  await pullAll(scene);
});

test.concurrent('a member that opens a thousand channels, known blobs and unknown, is answered and forgotten', async () => {
  await using scene = await setScene(2);
  const { hosts, rogue, digest, bytes, remote } = scene;
  const [host] = hosts;
  if (!host) throw new Error('no host');
  await host.pull(bytes, remote);
  const refused: number[] = [];
  rogue.onOpen = (_link, channel) => void refused.push(channel);
  const link = await rogue.dial(host);
  const open = Array.from({ length: 1024 }, (_, at) =>
    link.open(at % 2 ? digest : sha256(Buffer.of(at, at >> 8)), NO_TERMS),
  );
  expect(open.at(-1)).toBe(1023);
  await vi.waitFor(() => expect(refused.length).toBeGreaterThan(500));
  expect(link.isOpen()).toBe(true);
  await pullAll(scene);
});

test.concurrent('floods of HAVE, OFFER and WANT end the link they come on, and no other', {
  timeout: 30_000,
}, async () => {
  await using scene = await setScene(2);
  const { hosts, rogue, digest } = scene;
  const [host] = hosts;
  if (!host) throw new Error('no host');
  const link = await rogue.dial(host);
  const pulls = pullAll(scene);
  await vi.waitFor(() => expect(host.exchange.parts.of(digest)).toBeDefined());
  const own = link.open(digest, NO_TERMS) ?? -1;
  const flood = async () => {
    while (link.isOpen()) {
      for (let at = 0; at < 500 && link.isOpen(); at++) {
        link.have(own, [at % COUNT, 200_000 + at], 255);
        link.offer(own, true);
        link.want({ channel: own, piece: at % 2 ? at % COUNT : 250_000, length: 262_144, inFlight: 0 });
        if (at % 3 === 0) link.cancel(own, at % COUNT);
        link.lost(own, [at % COUNT]);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all([flood(), pulls]);
  await vi.waitFor(() => expect(host.marks.isBarred(rogue.member)).toBe(true));
  await expect(rogue.dial(host)).rejects.toThrow();
});

test.concurrent('a home that never answers is done without', { timeout: 30_000 }, async () => {
  await using scene = await setScene(2);
  scene.swarm.homes.splice(0, 1, scene.rogue.member);
  await pullAll(scene);
});

test.concurrent('a home that names nobody who exists, and leases what makes no sense, only costs the origin', {
  timeout: 30_000,
}, async () => {
  await using scene = await setScene(2);
  const { swarm, rogue, digest, hosts } = scene;
  swarm.homes.splice(0, 1, rogue.member);
  const nobody = await Promise.all(
    Array.from({ length: 20 }, async () => ({ ...rogue.contact, member: (await startRogue(swarm)).member })),
  );
  const lease = async (to: string, run: object) => {
    await swarm.ask(rogue.member, to, 'lease', { digest, size: SIZE, ...run }).catch(() => undefined);
  };
  rogue.answer({
    async report(member) {
      await lease(member, { start: -1, end: 3 });
      await lease(member, { start: 0, end: 1e9 });
      await lease(member, { start: 3, end: 3 });
      for (const _ of [1, 2]) void lease(member, { start: 0, end: COUNT });
      // The address of one honest member, for another.
      const lie = hosts.map(({ member: name }) => ({ member: name, links: rogue.contact.links, zone: undefined }));
      const nearer = ['1'.repeat(52), `12D3KooW${'z'.repeat(44)}`, rogue.member];
      return { members: [...nobody, ...lie, 'nonsense', null, { member: 7 }], reportEveryMs: -5, nearer };
    },
    landed: () => undefined,
    returned: () => undefined,
  });
  await pullAll(scene);
});

test('one who names another size is another home, and gets nothing wrong', async () => {
  await using scene = await setScene(2);
  const { swarm, rogue, hosts, digest } = scene;
  const held = Buffer.alloc(4, 0xff).toString('base64');
  const report = {
    contact: rogue.contact,
    held,
    wantsMembers: true,
    isComplete: true,
    isFollowing: false,
    uplinkBytesPerSecond: 1,
  };
  for (const size of [SIZE - 1, SIZE * 4, 1])
    await swarm.ask(rogue.member, hosts[0]?.member ?? '', 'report', { digest, size, ...report }).catch(() => undefined);
  await pullAll(scene);
  expect(scene.remote.sentBytes).toBe(SIZE);
});

test.concurrent('one who takes leases and attests wrong bytes is found out, and the blob is right in the end', {
  timeout: 60_000,
}, async () => {
  await using scene = await setScene(4);
  const { swarm, rogue, hosts, bytes, digest } = scene;
  const home = hosts[0]?.member ?? '';
  const landed = (start: number, end: number) => {
    const pieces = Array.from({ length: end - start }, (_, at) => start + at);
    return swarm.ask(rogue.member, home, 'landed', { digest, size: SIZE, pieces }).catch(() => undefined);
  };
  claimAll(rogue, SIZE);
  rogue.onWant = (link, wanted) => {
    const piece = flipped(pieceOf(bytes, wanted.piece));
    give(link, wanted, piece, attest(rogue.attestations, digest, wanted.piece, piece));
  };
  rogue.answer({
    async lease(_member, body) {
      const { start, end } = body as { start: number; end: number };
      void landed(start, end);
    },
    question: () => ({ hasProgress: true }),
    withdraw: () => undefined,
  });
  const held = Buffer.alloc(4).toString('base64');
  const report = {
    contact: rogue.contact,
    held,
    wantsMembers: true,
    isComplete: false,
    isFollowing: false,
    uplinkBytesPerSecond: 1e9,
  };
  await swarm.ask(rogue.member, home, 'report', { digest, size: SIZE, ...report });
  await pullAll(scene);
  expect(hosts.map(({ marks }) => marks.list().get(rogue.member)?.why)).toContain('lie');
});

test.concurrent('a host whose memory flips bits of what it serves is left alone', { timeout: 30_000 }, async () => {
  await using scene = await setScene(2);
  const { swarm, bytes, digest, remote, hosts } = scene;
  const store = memoryStore();
  await store.put(digest, bytes);
  const ill = await swarm.host({
    ...store,
    async open(which) {
      const blob = await store.open(which);
      const read = async (into: Buffer, offset: number) => flipped(bytes).copy(into, 0, offset);
      return blob && { ...blob, read };
    },
  });
  swarm.holders.push(ill.contact);
  const pulls = await Promise.all(hosts.map((host) => host.pull(bytes, remote)));
  expect(pulls.map(({ read }) => read)).toEqual(['right', 'right']);
  expect(hosts.map(({ marks }) => marks.list().get(ill.member)?.why)).toContain('lie');
});
