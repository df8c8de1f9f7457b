import { randomBytes } from 'node:crypto';
import { type BlobStore, type Draft, Failure, planPieces, sha256 } from '@drayage/core';
import { type FakeRemote, fakeRemote, memoryStore, readFrom } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import { type FakeHost, type FakeSwarm, startFakeSwarm } from './fake-hosts.ts';
import { claimAll, startRogue } from './fake-rogue.ts';

const SIZE = 1_500_000;
const PLAN = planPieces(SIZE);

interface Scene extends AsyncDisposable {
  readonly swarm: FakeSwarm;
  readonly bytes: Buffer;
  readonly remote: FakeRemote;
  /** A host that is home of every blob. */
  readonly home: FakeHost;
}

async function setScene(store?: BlobStore): Promise<Scene> {
  const swarm = startFakeSwarm();
  const bytes = randomBytes(SIZE);
  const remote = fakeRemote(new Map([[sha256(bytes), bytes]]));
  remote.beforeChunk = () => new Promise((resolve) => setImmediate(resolve));
  const home = await swarm.host(store);
  swarm.homes.push(home.member);
  return { swarm, bytes, remote, home, [Symbol.asyncDispose]: swarm[Symbol.asyncDispose] };
}

/** A store whose drafts are changed on their way out. */
function changing(change: (draft: Draft) => Partial<Draft>): BlobStore {
  const store = memoryStore();
  return {
    ...store,
    async draft(digest, size) {
      const draft = await store.draft(digest, size);
      return draft && { ...draft, heldBytes: draft.heldBytes, ...change(draft) };
    },
  };
}

async function expectWhole({ store }: FakeHost, bytes: Buffer): Promise<void> {
  await using blob = await store.open(sha256(bytes));
  expect(blob && (await readFrom(blob, 0)).equals(bytes)).toBe(true);
}

const errorsOf = ({ happenings }: FakeHost) => happenings.filter(({ kind }) => kind === 'error');

test('a fill that is given up ends with its reason, and touches the draft no more', async () => {
  let writes = 0;
  let isOver = false;
  const store = changing((draft) => ({
    async write(...args) {
      expect(isOver).toBe(false);
      writes++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(isOver).toBe(false);
      await draft.write(...args);
    },
  }));
  await using scene = await setScene(store);
  const stop = new AbortController();
  scene.remote.beforeChunk = async (at) => {
    if (at > SIZE / 2) stop.abort(new Error('nobody reads it'));
  };
  await expect(scene.home.pull(scene.bytes, scene.remote, stop.signal)).rejects.toThrow('nobody reads it');
  isOver = true;
  expect(writes).toBeGreaterThan(0);
  expect(scene.home.exchange.heldBytes()).toBe(0);
  expect(scene.home.exchange.parts.of(sha256(scene.bytes))).toBeUndefined();
  expect(errorsOf(scene.home)).toEqual([]);
});

test('a home that is the only one to have the blob sends nobody to the origin', async () => {
  await using scene = await setScene();
  await scene.home.store.put(sha256(scene.bytes), scene.bytes);
  const other = await scene.swarm.host();
  expect(await other.pull(scene.bytes, scene.remote)).toEqual({ peer: SIZE, origin: 0, read: 'right' });
});

test('a fill that was given up before it began does not begin', async () => {
  await using scene = await setScene();
  await expect(scene.home.pull(scene.bytes, scene.remote, AbortSignal.abort(new Error('too late')))).rejects.toThrow(
    'too late',
  );
  expect(scene.remote.sentBytes).toBe(0);
});

test('a fault of ours does not cost the client its pull: the origin alone goes on', async () => {
  let seals = 0;
  await using scene = await setScene(
    changing((draft) => ({
      async seal(signal) {
        seals++;
        if (seals === 1) throw new TypeError('a fault');
        return await draft.seal(signal);
      },
    })),
  );
  expect(await scene.home.pull(scene.bytes, scene.remote)).toMatchObject({ read: 'right', origin: SIZE });
  expect(errorsOf(scene.home)).toMatchObject([{ where: 'exchange' }]);
});

test('a disk that fails ends the fill with its failure', async () => {
  const failure = new Failure('disk_failed', 'no');
  await using scene = await setScene(changing(() => ({ write: () => Promise.reject(failure) })));
  await expect(scene.home.pull(scene.bytes, scene.remote)).rejects.toBe(failure);
  expect(scene.home.exchange.heldBytes()).toBe(0);
});

test('what an earlier fill left whole is proven without a byte from anyone', async () => {
  await using scene = await setScene();
  const draft = await scene.home.store.draft(sha256(scene.bytes), SIZE);
  for (let piece = 0; piece < PLAN.count; piece++)
    await draft?.write(piece, [scene.bytes.subarray(piece * PLAN.pieceBytes, (piece + 1) * PLAN.pieceBytes)], 'peer');
  expect(await scene.home.pull(scene.bytes, scene.remote)).toEqual({ peer: 0, origin: 0, read: 'right' });
});

test('a piece that an earlier fill left wrong is found, and fetched anew', async () => {
  await using scene = await setScene();
  const draft = await scene.home.store.draft(sha256(scene.bytes), SIZE);
  for (const piece of [0, 2])
    await draft?.write(piece, [scene.bytes.subarray(piece * PLAN.pieceBytes, (piece + 1) * PLAN.pieceBytes)], 'peer');
  await draft?.write(1, [randomBytes(PLAN.pieceBytes)], 'peer');
  await scene.home.pull(scene.bytes, scene.remote);
  await expectWhole(scene.home, scene.bytes);
  expect(errorsOf(scene.home)).toEqual([]);
});

test('pieces that the disk loses are fetched again, and a disk that goes on losing them is given up', async () => {
  const losing = (times: number) => {
    let lost = 0;
    return changing((draft) => ({
      async seal(signal) {
        if (lost++ < times) await draft.drop([3]);
        return await draft.seal(signal);
      },
    }));
  };
  await using swarm = startFakeSwarm();
  const bytes = randomBytes(SIZE);
  const remote = fakeRemote(new Map([[sha256(bytes), bytes]]));
  const [some, all] = [await swarm.host(losing(2)), await swarm.host(losing(100))];
  swarm.homes.push(some.member);
  await some.pull(bytes, remote);
  await expectWhole(some, bytes);
  swarm.homes.splice(0, 1, all.member);
  await expect(all.pull(bytes, remote)).rejects.toMatchObject({ code: 'disk_failed' });
}, 20_000);

test('an origin that refuses one host is asked by the others, and no credential travels', async () => {
  await using scene = await setScene();
  const { swarm, home, bytes, remote } = scene;
  const refused = await swarm.host();
  const denied = new Failure('denied', 'not you');
  const wall = {
    ...remote,
    read: () => {
      throw denied;
    },
  } as unknown as FakeRemote; // the rest is not asked here
  const [one, other] = await Promise.all([refused.pull(bytes, wall), home.pull(bytes, remote)]);
  expect(one).toEqual({ peer: SIZE, origin: 0, read: 'right' });
  expect(other).toMatchObject({ origin: SIZE });
});

test('an origin that refuses everybody is told as it is, in a moment', async () => {
  await using scene = await setScene();
  const denied = new Failure('denied', 'not you');
  const wall = {
    ...scene.remote,
    read: () => {
      throw denied;
    },
  } as unknown as FakeRemote; // the rest is not asked here
  const began = performance.now();
  await expect(scene.home.pull(scene.bytes, wall)).rejects.toBe(denied);
  expect(performance.now() - began).toBeLessThan(3000);
});

test('an origin that is down ends the fill in a moment where nobody else has the blob', async () => {
  await using scene = await setScene();
  scene.remote.isDown = true;
  await expect(scene.home.pull(scene.bytes, scene.remote)).rejects.toMatchObject({ code: 'origin_unavailable' });
  expect(scene.home.exchange.heldBytes()).toBe(0);
});

test('an origin that sends the wrong bytes is found out, and blames no member', async () => {
  await using scene = await setScene();
  const wrong = fakeRemote(new Map([[sha256(scene.bytes), randomBytes(SIZE)]]));
  await expect(scene.home.pull(scene.bytes, wrong)).rejects.toMatchObject({ code: 'blob_corrupt' });
  expect(scene.home.happenings.filter(({ kind }) => kind === 'quarantined')).toEqual([]);
  expect(scene.home.happenings.filter(({ kind }) => kind === 'corrupt')).toHaveLength(1);
  // The draft is empty again: a right origin fills it.
  await scene.home.pull(scene.bytes, scene.remote);
  await expectWhole(scene.home, scene.bytes);
});

test('a blob that was evicted is filled anew while others still hang on to the old one', async () => {
  await using scene = await setScene();
  const { swarm, home, bytes, remote } = scene;
  const digest = sha256(bytes);
  await home.pull(bytes, remote);
  const rogue = await startRogue(swarm);
  const link = await rogue.dial(home);
  const closed = Promise.withResolvers<void>();
  rogue.onClose = () => closed.resolve();
  link.open(digest, { zone: undefined });
  await vi.waitFor(() => expect(rogue.opened).toBe(1));
  const old = home.exchange.parts.of(digest);
  await home.store.remove(digest);
  // The real store makes a new draft; this one has to be told that it is empty.
  await (await home.store.draft(digest, SIZE))?.drop(Array.from({ length: PLAN.count }, (_, piece) => piece));
  await home.pull(bytes, remote);
  await expectWhole(home, bytes);
  await closed.promise;
  expect(home.exchange.parts.of(digest)).not.toBe(old);
});

test('a holder that lost its blob is left without blame, and the origin makes up for it', async () => {
  await using scene = await setScene();
  const { swarm, home, bytes, remote } = scene;
  const other = await swarm.host();
  swarm.holders.push(home.contact);
  const gone: BlobStore = { ...home.store, open: async () => undefined };
  const poor = await swarm.host(gone);
  await poor.pull(bytes, remote).catch(() => undefined);
  swarm.holders.splice(0, 1, poor.contact);
  expect(await other.pull(bytes, remote)).toMatchObject({ read: 'right' });
  expect(other.happenings.filter(({ kind }) => kind === 'quarantined')).toEqual([]);
  expect(errorsOf(poor).length).toBeLessThanOrEqual(1);
}, 20_000);

test('a part that is over leaves no timer and no buffer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  {
    await using scene = await setScene();
    const { swarm, home, bytes, remote } = scene;
    const [two, three] = [await swarm.host(), await swarm.host()];
    const rogue = await startRogue(swarm);
    claimAll(rogue, SIZE);
    swarm.holders.push(rogue.contact);
    const stop = new AbortController();
    const given = three.pull(bytes, remote, stop.signal).catch(() => 'given up');
    await Promise.all([home.pull(bytes, remote), two.pull(bytes, remote)]);
    stop.abort(new Error('enough'));
    await given;
    await swarm[Symbol.asyncDispose]();
    for (const { exchange } of [home, two, three]) expect(exchange.heldBytes()).toBe(0);
  }
  await vi.waitFor(() => expect(timers()).toBeLessThanOrEqual(before));
}, 20_000);

test('a blob is served to many while it is filled, and pieces leave the origin once', async () => {
  await using scene = await setScene();
  const { swarm, home, bytes, remote } = scene;
  const hosts = [home, ...(await Promise.all([1, 2, 3].map(() => swarm.host())))];
  const pulls = await Promise.all(hosts.map((host) => host.pull(bytes, remote)));
  expect(pulls.reduce((sum, { origin }) => sum + origin, 0)).toBe(SIZE);
  for (const { read } of pulls) expect(read).toBe('right');
  for (const host of hosts) expect(errorsOf(host)).toEqual([]);
});
