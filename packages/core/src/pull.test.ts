import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BlobStore } from './blob.ts';
import { sha256 } from './digest.ts';
import { Failure, isFailure } from './failure.ts';
import { type FakeRemote, fakeRemote } from './fake-remote.ts';
import { originFill } from './fill.ts';
import { memoryStore } from './memory-store.ts';
import { type Pulls, startPulls, type Want } from './pull.ts';
import type { Happening } from './report.ts';
import { readFrom } from './store-contract.ts';

const SIZE = 3_000_000;
const never: AbortSignal = new AbortController().signal;

interface Scene {
  readonly store: BlobStore;
  readonly pulls: Pulls;
  readonly remote: FakeRemote;
  readonly bytes: Buffer;
  readonly want: Want;
  readonly happenings: Happening[];
}

function scene({ size = SIZE, corrupt = false, lingerMs = 30_000 } = {}): Scene {
  const bytes = randomBytes(size);
  const digest = sha256(bytes);
  const sent = Buffer.from(bytes);
  if (corrupt) sent[1000] = (sent[1000] ?? 0) ^ 1;
  const remote = fakeRemote(new Map([[digest, sent]]));
  const store = memoryStore();
  const happenings: Happening[] = [];
  const report = (happening: Happening) => void happenings.push(happening);
  const pulls = startPulls({ store, fill: originFill({ report, patienceMs: 300 }), report, lingerMs });
  return { store, pulls, remote, bytes, happenings, want: { digest, size: undefined, remote } };
}

async function pull({ pulls, want }: Pick<Scene, 'pulls' | 'want'>): Promise<Buffer> {
  await using blob = await pulls.open(want, never);
  if (!blob) throw new Error('not found');
  return await readFrom(blob, 0);
}

test('a blob comes from the origin once, however many ask, and from the disk afterwards', async () => {
  const it = scene();
  const all = await Promise.all(Array.from({ length: 20 }, () => pull(it)));
  for (const one of all) expect(one.equals(it.bytes)).toBe(true);
  expect(it.remote.sentBytes).toBe(SIZE);
  it.remote.isDown = true;
  expect((await pull(it)).equals(it.bytes)).toBe(true);
  expect(it.pulls.list()).toMatchObject([{ state: 'sealed', bytesFrom: { origin: SIZE } }]);
});

test('an origin that breaks off is asked again for what is missing only', async () => {
  const it = scene();
  let cuts = 0;
  it.remote.beforeChunk = async (at) => {
    if (at > 500_000 * (cuts + 1) && cuts < 3) {
      cuts++;
      throw new Failure('origin_unavailable', 'cut');
    }
  };
  expect((await pull(it)).equals(it.bytes)).toBe(true);
  expect(cuts).toBe(3);
  expect(it.remote.sentBytes).toBe(SIZE);
});

test('an origin that stays away fails the readers, keeps what came, and the next pull takes it up there', async () => {
  const it = scene();
  it.remote.beforeChunk = async (at) => {
    if (at > 1_000_000) it.remote.isDown = true;
  };
  await expect(pull(it)).rejects.toSatisfy((error) => isFailure(error, 'origin_unavailable'));
  const before = it.remote.sentBytes;
  it.remote.isDown = false;
  it.remote.beforeChunk = async () => {};
  expect((await pull(it)).equals(it.bytes)).toBe(true);
  expect(it.remote.sentBytes).toBeLessThan(SIZE + 300_000);
  expect(before).toBeGreaterThan(0);
});

test('a corrupt body never completes and is never kept', async () => {
  const it = scene({ corrupt: true });
  await expect(pull(it)).rejects.toSatisfy((error) => isFailure(error, 'blob_corrupt'));
  expect(it.store.list()).toEqual([]);
  expect(it.happenings).toContainEqual(expect.objectContaining({ kind: 'corrupt', where: 'origin' }));
});

test('a reader far ahead is not kept waiting for everything before it', async () => {
  const it = scene({ size: 12_000_000 });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  it.remote.beforeChunk = async (at) => {
    if (at < 11_000_000) await held;
  };
  await using blob = await it.pulls.open(it.want, never);
  const into = Buffer.alloc(1000);
  await blob?.read(into, 11_100_000, never);
  expect(into).toEqual(it.bytes.subarray(11_100_000, 11_101_000));
  release();
  expect(blob && (await readFrom(blob, 0)).equals(it.bytes)).toBe(true);
  expect(it.remote.sentBytes).toBe(12_000_000);
});

test('a fill that nobody reads stops after a while and leaves its pieces', async () => {
  const it = scene({ lingerMs: 1 });
  let blocked = () => {};
  const reached = new Promise<void>((resolve) => {
    blocked = resolve;
  });
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  it.remote.beforeChunk = async (at) => {
    if (at < 1_000_000) return;
    blocked();
    await gate;
  };
  const blob = await it.pulls.open(it.want, never);
  await blob?.read(Buffer.alloc(10), 0, never);
  await reached;
  await blob?.[Symbol.asyncDispose]();
  await expect.poll(() => it.happenings.some((one) => one.kind === 'fill' && one.state === 'started')).toBe(true);
  setTimeout(go, 20);
  await expect.poll(() => it.pulls.list()[0]?.state).toBe('stopped');
  it.remote.beforeChunk = async () => {};
  expect((await pull(it)).equals(it.bytes)).toBe(true);
});

test('without a disk the blob passes through, proven, and the last block is held back until then', async () => {
  const it = scene();
  it.store.draft = async () => undefined;
  expect((await pull(it)).equals(it.bytes)).toBe(true);
  expect(it.store.list()).toEqual([]);

  const bad = scene({ corrupt: true });
  bad.store.draft = async () => undefined;
  await using blob = await bad.pulls.open(bad.want, never);
  await expect(blob?.read(Buffer.alloc(10), SIZE - 10, never)).rejects.toSatisfy((error) =>
    isFailure(error, 'blob_corrupt'),
  );
});

test('a disk that fails in the middle is left behind at the very byte', async () => {
  const it = scene();
  const make = it.store.draft;
  it.store.draft = async (digest, size) => {
    const draft = await make(digest, size);
    const write = draft?.write;
    return (
      draft &&
      write &&
      Object.assign(Object.create(draft), {
        write: async (piece: number, chunks: readonly Uint8Array[], from: 'peer' | 'origin') => {
          if (piece === 5) throw new Failure('disk_failed', 'no more');
          await write(piece, chunks, from);
        },
      })
    );
  };
  expect((await pull(it)).equals(it.bytes)).toBe(true);
});

test('a blob nobody has is undefined, and one of no bytes must be the empty digest', async () => {
  const it = scene();
  const unknown = { ...it.want, digest: sha256(Buffer.from('unknown')) };
  expect(await it.pulls.open(unknown, never)).toBeUndefined();
  expect(await it.pulls.open({ ...it.want, size: 0 }, never)).toBeUndefined();
  const empty = { ...it.want, digest: sha256(new Uint8Array()), size: 0 };
  expect(await pull({ pulls: it.pulls, want: empty })).toEqual(Buffer.alloc(0));
});

test('a blob that is kept without a reader is filled to its end, once, and later readers find it on the disk', async () => {
  const it = scene({ lingerMs: 1 });
  const want = { ...it.want, size: SIZE };
  expect(await Promise.all([it.pulls.keep(want, never), it.pulls.keep(want, never)])).toEqual([true, true]);
  expect(it.remote.sentBytes).toBe(SIZE);
  expect(await it.pulls.keep(want, never)).toBe(true);
  it.remote.isDown = true;
  expect((await pull(it)).equals(it.bytes)).toBe(true);
});

test('keeping a blob gives up without a word: when called off, when the fill fails, when the disk takes nothing', async () => {
  const it = scene({ lingerMs: 1 });
  const want = { ...it.want, size: SIZE };
  const off = new AbortController();
  const gate = Promise.withResolvers<void>();
  it.remote.beforeChunk = () => gate.promise;
  const kept = it.pulls.keep(want, off.signal);
  off.abort();
  expect(await kept).toBe(false);
  setTimeout(gate.resolve, 20);
  await expect.poll(() => it.pulls.list()[0]?.state).toBe('stopped');

  it.remote.isDown = true;
  expect(await it.pulls.keep(want, never)).toBe(false);
  it.store.draft = async () => undefined;
  expect(await it.pulls.keep(want, never)).toBe(false);
  expect(await it.pulls.keep({ ...want, size: 0 }, never)).toBe(false);
});
