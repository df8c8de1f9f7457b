import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryStore } from '@drayage/core/testing';
import type { Origins } from '@drayage/registry';
import { expect, test } from 'vitest';
import type { AdminAddress } from './address.ts';
import type { Admin } from './admin.ts';
import { clientOf } from './admin-client.ts';
import { digest, fakeCatalog, fakeRepository, startFakeAdmin } from './fake-admin.ts';
import { aMember, aStory, fakeSwarm } from './fake-swarm.ts';
import { EVENT_CLIENTS_MAX } from './sse.ts';

function portOf({ address }: Admin): number {
  return 'port' in address ? address.port : 0;
}

interface Question {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function ask(admin: Admin, method: string, path: string, { headers = {}, body = '' }: Question): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port: portOf(admin), method, path, headers, agent: false },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

test('health, readiness and metrics answer', async () => {
  await using admin = await startFakeAdmin();
  const client = clientOf(admin.address);
  expect(await client.ask('/livez')).toEqual({ status: 200, text: 'alive\n' });
  expect(await client.ask('/readyz')).toEqual({ status: 200, text: 'ready\n' });
  expect(await client.ask('/readyz?verbose')).toEqual({ status: 200, text: '[+]store: 1 blob\nready\n' });
  expect((await client.ask('/metrics')).status).toBe(200);
  expect((await client.ask('/nowhere')).status).toBe(404);
});

test('an agent that cannot serve is not ready, and says why', async () => {
  const checks = [{ name: 'origins', isGood: false, detail: 'not answering: docker.io' }];
  await using admin = await startFakeAdmin({ readiness: () => ({ isReady: false, checks }) });
  expect(await clientOf(admin.address).ask('/readyz')).toEqual({
    status: 503,
    text: '[-]origins: not answering: docker.io\nnot ready\n',
  });
});

test('a blob is listed, removed once, and then unknown', async () => {
  await using admin = await startFakeAdmin();
  const client = clientOf(admin.address);
  expect(await client.get('/api/blobs')).toMatchObject({ total: 1, blobs: [{ digest, size: 6 }] });
  await client.remove(`/api/blobs/${digest}`);
  await expect(client.remove(`/api/blobs/${digest}`)).rejects.toThrow('is not in the store');
  await expect(client.remove('/api/blobs/..%2f..%2fetc')).rejects.toThrow('not a digest');
});

test('the members are those of the swarm, and none without one', async () => {
  await using alone = await startFakeAdmin();
  expect(await clientOf(alone.address).get('/api/members')).toEqual({ members: [] });
  const swarm = fakeSwarm({ members: [aMember({ zone: 'b', quarantine: { until: 5, why: 'lie' } })] });
  await using met = await startFakeAdmin({ swarm });
  expect(await clientOf(met.address).get('/api/members')).toMatchObject({
    members: [{ zone: 'b', isLinked: true, addresses: ['192.0.2.2:5053'], quarantine: { until: 5, why: 'lie' } }],
  });
});

test('a blob is explained by its digest, a tag by its name with or without its slashes encoded', async () => {
  const catalog = fakeCatalog({
    recallTag: (repository, tag) =>
      repository === 'docker.io/library/app' && tag === '1' ? { digest, seenAt: 0 } : undefined,
  });
  await using admin = await startFakeAdmin({ catalog, swarm: fakeSwarm({ stories: [aStory(digest)] }) });
  const client = clientOf(admin.address);
  const blobs = [{ digest, size: 6, isHeld: true, stories: [{ state: 'sealed', memberBytes: 7 * 2 ** 20 }] }];
  expect(await client.get(`/api/explain/${digest}`)).toMatchObject({ blobs });
  const image = { repository: 'docker.io/library/app', tag: '1', digest };
  for (const path of ['app:1', 'docker.io/library/app:1', 'docker.io%2Flibrary%2Fapp%3A1'])
    expect(await client.get(`/api/explain/${path}`)).toMatchObject({ image, blobs });
});

test('what nothing is known of is not found, and a name that can be none is refused', async () => {
  await using admin = await startFakeAdmin();
  const client = clientOf(admin.address);
  const unknown = await client.ask(`/api/explain/sha256:${'0'.repeat(64)}`);
  expect(unknown).toMatchObject({ status: 404, text: expect.stringContaining('not in the store') });
  const unseen = await client.ask(`/api/explain/${encodeURIComponent(`one.test/${'long/'.repeat(40)}app:1`)}`);
  expect(unseen).toMatchObject({ status: 404, text: expect.stringContaining('this host has not seen one.test/long/') });
  expect(await client.ask('/api/explain/UPPER')).toMatchObject({ status: 400 });
  expect(await client.ask('/api/explain/')).toMatchObject({ status: 400 });
});

test('neither a rebound name nor a foreign page changes or reads anything', async () => {
  await using admin = await startFakeAdmin();
  expect(await ask(admin, 'GET', '/api/blobs', { headers: { Host: 'evil.test' } })).toBe(421);
  expect(await ask(admin, 'GET', '/metrics', { headers: { Origin: 'http://evil.test' } })).toBe(403);
  expect(await ask(admin, 'DELETE', `/api/blobs/${digest}`, {})).toBe(415);
  expect(await ask(admin, 'POST', '/api/verify', { headers: { 'Content-Type': 'text/plain' }, body: '{}' })).toBe(415);
  expect(await ask(admin, 'OPTIONS', '/api/verify', { headers: { Origin: 'http://evil.test' } })).toBe(403);
  expect(await clientOf(admin.address).get('/api/blobs')).toMatchObject({ total: 1 });
});

test.each([
  ['nothing', ''],
  ['no JSON', '{'],
  ['no reference', '{}'],
  ['a reference of another kind', '{"reference": 7}'],
  ['a poisoned prototype', '{"__proto__": {"reference": "busybox"}}'],
])('a pull of %s is refused', async (_, body) => {
  await using admin = await startFakeAdmin();
  expect(await ask(admin, 'POST', '/api/pulls', { headers: JSON_TYPE, body })).toBe(400);
});

test('a body that is too long is refused', async () => {
  await using admin = await startFakeAdmin();
  expect(await ask(admin, 'POST', '/api/pulls', { headers: JSON_TYPE, body: `"${'x'.repeat(70_000)}"` })).toBe(413);
});

test('a pull that fails ends with the reason', async () => {
  await using admin = await startFakeAdmin();
  const events = await Array.fromAsync(clientOf(admin.address).events('/api/pulls', { reference: 'one.test/app' }));
  expect(events).toEqual([
    { name: 'failed', data: { code: 'name_unknown', message: 'one.test is not on the list of origins' } },
  ]);
});

test('verifying tells of every blob', async () => {
  await using admin = await startFakeAdmin();
  const events = await Array.fromAsync(clientOf(admin.address).events('/api/verify', {}));
  expect(events.at(-1)).toMatchObject({ name: 'done', data: { sound: 1, corrupt: 0, blobs: 1, bytes: 6 } });
});

test('one verification runs at a time', async () => {
  await using admin = await startFakeAdmin({
    store: { ...memoryStore(), list: () => [{ digest, size: 6, lastUsedAt: 0 }], verify: untilAborted },
  });
  expect(await ask(admin, 'POST', '/api/verify', { headers: JSON_TYPE })).toBe(200);
  expect(await ask(admin, 'POST', '/api/verify', { headers: JSON_TYPE })).toBe(409);
});

test('listeners are bounded, and those that are left end with the server', async () => {
  const repository = fakeRepository({ getManifest: untilAborted });
  const origins: Origins = {
    has: () => true,
    repository: () => repository,
    status: () => [],
    [Symbol.asyncDispose]: async () => {},
  };
  const admin = await startFakeAdmin({ origins });
  const pull = { headers: JSON_TYPE, body: '{"reference":"busybox"}' };
  for (let client = 0; client < EVENT_CLIENTS_MAX; client += 1) {
    expect(await ask(admin, 'POST', '/api/pulls', pull)).toBe(200);
  }
  expect(await ask(admin, 'POST', '/api/pulls', pull)).toBe(429);
  await admin[Symbol.asyncDispose]();
  await expect(clientOf(admin.address).ask('/livez')).rejects.toMatchObject({ code: 'agent_unreachable' });
});

function untilAborted(...given: readonly unknown[]): Promise<never> {
  const signal = given.at(-1) as AbortSignal;
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

test('a socket file is for its owner only, and is replaced when a crash left it behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'drayage-admin-'));
  const address: AdminAddress = { path: join(folder, 'admin.sock') };
  try {
    await using admin = await startFakeAdmin({ address });
    expect(statSync(address.path).mode & 0o777).toBe(0o600);
    expect((await clientOf(admin.address).ask('/livez')).status).toBe(200);
    await expect(startFakeAdmin({ address })).rejects.toThrow('cannot listen');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
