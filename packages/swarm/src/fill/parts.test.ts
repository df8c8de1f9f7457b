import { randomBytes } from 'node:crypto';
import { planPieces, sha256 } from '@drayage/core';
import { fakeRemote } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { startFakeSwarm } from './fake-hosts.ts';

const bytes = randomBytes(600_000);
const digest = sha256(bytes);
const about = { digest, size: bytes.length };

test('a blob that is not here is served by nobody', async () => {
  await using swarm = startFakeSwarm();
  const { exchange } = await swarm.host();
  expect(await exchange.parts.serve(digest)).toBeUndefined();
  expect(exchange.parts.of(digest)).toBeUndefined();
});

test('all who ask for a sealed blob at once are served by one part', async () => {
  await using swarm = startFakeSwarm();
  const { exchange, store } = await swarm.host();
  await store.put(digest, bytes);
  const [one, other] = await Promise.all([exchange.parts.serve(digest), exchange.parts.serve(digest)]);
  expect(one).toBeDefined();
  expect(other).toBe(one);
  expect(exchange.parts.of(digest)).toBe(one);
});

test('a part is of one size: who speaks of another is not heard', async () => {
  await using swarm = startFakeSwarm();
  const { exchange, store } = await swarm.host();
  await store.put(digest, bytes);
  const part = await exchange.parts.serve(digest);
  expect(exchange.parts.about(about)).toBe(part);
  expect(exchange.parts.about({ digest, size: bytes.length + 1 })).toBeUndefined();
});

test('a fill takes the place of a part that served, even of one that begins meanwhile', async () => {
  await using swarm = startFakeSwarm();
  const host = await swarm.host();
  swarm.homes.push(host.member);
  await host.store.put(digest, bytes);
  const serving = host.exchange.parts.serve(digest);
  const [pulled] = await Promise.all([host.pull(bytes, fakeRemote(new Map([[digest, bytes]]))), serving]);
  expect(pulled.read).toBe('right');
  const old = await serving;
  expect(old).toBeDefined();
  expect(host.exchange.parts.of(digest)).not.toBe(old);
});

test('what is over begins nothing any more', async () => {
  await using swarm = startFakeSwarm();
  const { exchange, store } = await swarm.host();
  await store.put(digest, bytes);
  const part = await exchange.parts.serve(digest);
  await exchange[Symbol.asyncDispose]();
  expect(exchange.parts.of(digest)).toBeUndefined();
  expect(await exchange.parts.serve(digest)).toBeUndefined();
  await expect(part?.proven).rejects.toThrow('stopping');
  const draft = await store.draft(digest, planPieces(bytes.length).size);
  if (!draft) throw new Error('no draft');
  const story = exchange.stories.begin({ ...about, origin: 'o', diskBytes: 0 });
  const filling = { draft, remote: fakeRemote(new Map()), story, arrived: () => {} };
  await expect(exchange.parts.fill(filling)).rejects.toThrow('stopping');
});
