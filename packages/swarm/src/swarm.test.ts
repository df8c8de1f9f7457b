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

async function startHosts(count: number, key: SwarmKey = testKey()): Promise<Hosts> {
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

test('hosts that pull one blob at once take each byte from the origin once', async () => {
  await using swarm = await startHosts(6);
  const bytes = randomBytes(8_000_000);
  const origin = countingOrigin(bytes);
  const all = await Promise.all(swarm.hosts.map((host) => pull(host, bytes, origin)));
  expect(origin.given).toBe(bytes.length);
  for (const from of all) expect(from.peer + from.origin).toBe(bytes.length);
});
