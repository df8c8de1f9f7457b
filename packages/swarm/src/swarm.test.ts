import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, type Draft, type Happening, originFill, type Remote, sha256 } from '@drayage/core';
import { memoryStore, readFrom } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import { testKey } from './fake-swarm.ts';
import type { SwarmKey } from './key.ts';
import { startSwarm } from './swarm.ts';
import type { Swarm } from './types.ts';

const never: AbortSignal = new AbortController().signal;

interface Host {
  readonly swarm: Swarm;
  readonly store: BlobStore;
  readonly happenings: Happening[];
}

interface Hosts extends AsyncDisposable {
  readonly hosts: readonly Host[];
}

async function startHosts(count: number, key: SwarmKey = testKey(), proven: readonly string[] = []): Promise<Hosts> {
  await using stack = new AsyncDisposableStack();
  const hosts: Host[] = [];
  for (let at = 0; at < count; at++) {
    const folder = await mkdtemp(join(tmpdir(), 'swarm-'));
    stack.defer(() => rm(folder, { recursive: true }));
    const store = memoryStore();
    const happenings: Happening[] = [];
    const report = (happening: Happening) => void happenings.push(happening);
    const first = hosts[0]?.swarm.addresses.swarm[0]?.split(':');
    const swarm = stack.use(
      await startSwarm({
        ...{ folder, store, report, keys: [key], zone: undefined, uploadRate: undefined, downloadRate: undefined },
        listen: [{ host: '127.0.0.1', port: 0 }],
        linkListen: [{ host: '127.0.0.1', port: 0 }],
        advertise: undefined,
        join: first ? [{ kind: 'host', at: { host: '127.0.0.1', port: Number(first[1]) } }] : [],
        // Only the first host has ever asked an origin.
        isProven: (repository, digest) => at === 0 && proven.includes(`${repository}@${digest}`),
        held: () => store.list().map(({ digest }) => digest),
        originFill: originFill({ report }),
      }),
    );
    hosts.push({ swarm, store, happenings });
  }
  for (const { swarm } of hosts)
    await vi.waitFor(() => expect(swarm.members().length).toBeGreaterThanOrEqual(count - 1), { timeout: 20_000 });
  const owned = stack.move();
  return { hosts, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** An origin that counts what it gives. */
function countingOrigin(bytes: Buffer): Remote & { given: number } {
  return {
    origin: 'test',
    given: 0,
    stat: async () => bytes.length,
    async *read(_digest, { start, end }, signal) {
      for (let at = start; at < end; at += 65_536) {
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
        const chunk = bytes.subarray(at, Math.min(end, at + 65_536));
        this.given += chunk.length;
        yield chunk;
      }
    },
  };
}

async function draftOf(store: BlobStore, bytes: Buffer): Promise<Draft> {
  const draft = await store.draft(sha256(bytes), bytes.length);
  if (!draft) throw new Error('no draft');
  return draft;
}

async function pull({ swarm, store }: Host, bytes: Buffer, remote: Remote): Promise<{ peer: number; origin: number }> {
  const from = { peer: 0, origin: 0 };
  await using draft = await draftOf(store, bytes);
  const arrived = (source: 'peer' | 'origin', count: number) => {
    from[source] += count;
  };
  await swarm.fill({ draft, remote, arrived }, never);
  await using blob = await store.open(draft.digest);
  expect(blob && (await readFrom(blob, 0)).equals(bytes)).toBe(true);
  return from;
}

test('what one host has pulled reaches the others without the origin', async () => {
  await using swarm = await startHosts(3);
  const [one, two, three] = swarm.hosts;
  if (!one || !two || !three) throw new Error('too few');
  const bytes = randomBytes(3_000_000);
  const origin = countingOrigin(bytes);
  expect(await pull(one, bytes, origin)).toEqual({ peer: 0, origin: bytes.length });
  one.swarm.announce(sha256(bytes));
  expect(await pull(two, bytes, origin)).toEqual({ peer: bytes.length, origin: 0 });
  expect(await pull(three, bytes, origin)).toEqual({ peer: bytes.length, origin: 0 });
  expect(origin.given).toBe(bytes.length);
});

test('hosts that pull one blob at once share what they take from the origin', async () => {
  await using swarm = await startHosts(6);
  const bytes = randomBytes(8_000_000);
  const origin = countingOrigin(bytes);
  // Right after joining they may not all know one another; with two homes it would be twice as much.
  const homes = () => new Set(swarm.hosts.map((host) => host.swarm.homes(sha256(bytes))[0]));
  await vi.waitFor(() => expect(homes().size).toBe(1), 20_000);
  const all = await Promise.all(swarm.hosts.map((host) => pull(host, bytes, origin)));
  expect(origin.given).toBe(bytes.length);
  for (const from of all) expect(from.peer + from.origin).toBe(bytes.length);
});

test('a manifest comes from a member that holds it; what is too large for that, or held by none, from nobody', async () => {
  await using swarm = await startHosts(3);
  const [one, two, three] = swarm.hosts;
  if (!one || !two || !three) throw new Error('too few');
  const manifest = randomBytes(64 * 1024);
  const large = randomBytes(100 * 1024);
  for (const bytes of [manifest, large]) {
    await one.store.put(sha256(bytes), bytes);
    one.swarm.announce(sha256(bytes));
  }
  await vi.waitFor(async () => expect(await two.swarm.fetchSmall(sha256(manifest), never)).toEqual(manifest), 5000);
  expect(await three.swarm.fetchSmall(sha256(large), never)).toBeUndefined();
  expect(await three.swarm.fetchSmall(sha256(randomBytes(8)), never)).toBeUndefined();
  expect(await three.swarm.fetchSmall(sha256(manifest), never)).toEqual(manifest);
  expect(one.happenings.filter(({ kind }) => kind === 'error')).toEqual([]);
});

test('a holder vouches for what it proved itself, and for nothing else', async () => {
  const bytes = randomBytes(100);
  const other = randomBytes(100);
  const digest = sha256(bytes);
  await using swarm = await startHosts(2, testKey(), [`docker.io/library/app@${digest}`]);
  const [one, two] = swarm.hosts;
  if (!one || !two) throw new Error('too few');
  for (const held of [bytes, other]) {
    await one.store.put(sha256(held), held);
    one.swarm.announce(sha256(held));
  }
  const vouched = (repository: string, what: Buffer) => two.swarm.vouch(repository, sha256(what), never);
  await vi.waitFor(async () => expect(await vouched('docker.io/library/app', bytes)).toBe(true), 5000);
  expect(await vouched('docker.io/library/app', other)).toBe(false);
  expect(await vouched('docker.io/team/secret', bytes)).toBe(false);
  expect(await vouched('x'.repeat(600), bytes)).toBe(false);
  expect(await one.swarm.vouch('docker.io/library/app', digest, never)).toBe(false);
});
