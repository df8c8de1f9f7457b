import { createHash } from 'node:crypto';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type Lab, OCI_IMAGE, startLab } from './fake-parts.ts';
import { SAYS_NOTHING } from './fake-push.ts';
import { BASE, BYTES, begun, call, codeOf, DIGEST, OPEN, streamOf } from './fake-pusher.ts';

test('a layer that is pushed in chunks reaches the origin, and is kept here once the origin has it', async () => {
  await using lab = await startLab(OPEN);
  const first = await begun(lab);
  expect(first).toMatch(/^\/v2\/registry\.example\.com\/team\/app\/blobs\/uploads\/[A-Za-z0-9_-]{22}$/);
  const one = await call(lab, `PATCH ${first}`, streamOf(BYTES.subarray(0, 100_000)));
  expect([one.status, one.headers.get('range')]).toEqual([202, '0-99999']);
  expect(one.headers.get('docker-upload-uuid')).toBe(first.split('/').at(-1));
  const second = one.headers.get('location') ?? '';
  const two = await call(lab, `PATCH ${second}`, BYTES.subarray(100_000), { 'content-range': '100000-299999' });
  expect(two.status).toBe(202);
  expect((await call(lab, `GET ${second}`)).headers.get('range')).toBe('0-299999');
  expect(lab.store.list()).toEqual([]);
  const done = await call(lab, `PUT ${second}?digest=${encodeURIComponent(DIGEST)}`);
  expect(done.status).toBe(201);
  expect(done.headers.get('location')).toBe(`${BASE}/blobs/${DIGEST}`);
  expect(done.headers.get('docker-content-digest')).toBe(DIGEST);
  expect(lab.other.blobs.get(`team/app ${DIGEST}`)?.equals(BYTES)).toBe(true);
  expect(lab.store.list().map(({ digest }) => digest)).toEqual([DIGEST]);
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'pushed', isKept: true, bytes: 300_000 }));
  const asked = lab.other.asked.length;
  const pulled = await call(lab, `GET ${BASE}/blobs/${DIGEST}`);
  expect(Buffer.from(await pulled.arrayBuffer()).equals(BYTES)).toBe(true);
  expect(lab.other.asked.slice(asked)).toEqual([]);
  expect((await call(lab, `PUT ${second}?digest=${DIGEST}`)).status).toBe(404);
});

test.each([
  ['with the request that ends it', async (lab: Lab) => call(lab, `PUT ${await begun(lab)}?digest=${DIGEST}`, BYTES)],
  ['with the request that begins it', (lab: Lab) => call(lab, `POST ${BASE}/blobs/uploads/?digest=${DIGEST}`, BYTES)],
])('a layer may come whole %s', async (_how, push) => {
  await using lab = await startLab(OPEN);
  expect((await push(lab)).status).toBe(201);
  expect(lab.store.sizeOf(DIGEST)).toBe(BYTES.length);
});

test('the dialect of the client is the one it is answered in', async () => {
  await using lab = await startLab(OPEN);
  const begin = await call(lab, 'POST /v2/team/app/blobs/uploads/?ns=registry.example.com');
  const location = begin.headers.get('location') ?? '';
  expect(location).toMatch(/^\/v2\/team\/app\/blobs\/uploads\/[^/]+\?ns=registry\.example\.com$/);
  expect((await call(lab, `PUT ${location}&digest=${DIGEST}`, BYTES)).status).toBe(201);
});

test('what the origin finds wrong is passed on, and nothing is kept', async () => {
  await using lab = await startLab(OPEN);
  const location = await begun(lab);
  const wrong = await call(lab, `PUT ${location}?digest=${DIGEST}`, BYTES.subarray(1));
  expect(await codeOf(wrong)).toBe('400 DIGEST_INVALID');
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 429, retryAfter: '7' };
  const busy = await call(lab, `POST ${BASE}/blobs/uploads/`);
  expect(busy.headers.get('retry-after')).toBe('7');
  expect(await codeOf(busy)).toBe('429 UNKNOWN');
  lab.other.refusesPush = undefined;
  lab.other.state = 'down';
  expect(await codeOf(await call(lab, `POST ${BASE}/blobs/uploads/`))).toBe('503 UNAVAILABLE');
  expect(lab.store.list()).toEqual([]);
});

test('a layer of another repository of the origin is mounted, and one of another origin is not asked for', async () => {
  await using lab = await startLab(OPEN);
  lab.other.blobs.set(`base/os ${DIGEST}`, BYTES);
  const uploads = `${BASE}/blobs/uploads/?mount=${DIGEST}`;
  const mounted = await call(lab, `POST ${uploads}&from=registry.example.com%2Fbase%2Fos`);
  expect([mounted.status, mounted.headers.get('location')]).toEqual([201, `${BASE}/blobs/${DIGEST}`]);
  const elsewhere = await call(lab, `POST ${uploads}&from=docker.io%2Fbase%2Fos`);
  expect(elsewhere.status).toBe(202);
  expect((await call(lab, `POST ${uploads}&from=..%2F..%2Fetc`)).status).toBe(202);
  expect(lab.other.asked.filter((asked) => asked.includes('POST'))).toEqual([
    `agent POST team/app blobs/uploads/?mount=${DIGEST}&from=base/os`,
    'agent POST team/app blobs/uploads/',
    'agent POST team/app blobs/uploads/',
  ]);
});

test('a manifest is kept with its tag once the origin has it', async () => {
  await using lab = await startLab(OPEN);
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config: null, layers: [] }));
  const digest = sha256(bytes);
  const headers = { 'content-type': OCI_IMAGE };
  const pushed = await call(lab, `PUT ${BASE}/manifests/2`, bytes, headers);
  expect([pushed.status, pushed.headers.get('location')]).toEqual([201, `${BASE}/manifests/${digest}`]);
  expect(lab.other.manifests.get('team/app 2')).toEqual({ mediaType: OCI_IMAGE, bytes });
  expect(lab.store.sizeOf(digest)).toBe(bytes.length);
  expect((await call(lab, `PUT ${BASE}/manifests/${digest}`, bytes, headers)).status).toBe(201);
  const other = await call(lab, `PUT ${BASE}/manifests/${sha256(BYTES)}`, bytes, headers);
  expect(await codeOf(other)).toBe('400 DIGEST_INVALID');
  expect(await codeOf(await call(lab, `PUT ${BASE}/manifests/2`, bytes, { 'content-type': 'x' }))).toBe(
    '400 MANIFEST_INVALID',
  );
  const huge = await call(lab, `PUT ${BASE}/manifests/2`, streamOf(Buffer.alloc(5_000_000)), headers);
  expect(await codeOf(huge)).toBe('413 SIZE_INVALID');
});

test.each([
  ['POST', '/blobs/uploads/'],
  ['PUT', '/manifests/1'],
  ['PATCH', `/blobs/uploads/${'a'.repeat(22)}`],
])('%s %s is refused with what to set where pushing is off', async (method, path) => {
  await using lab = await startLab({ 'docker.io': { access: 'bypass', push: true } });
  const off = await call(lab, `${method} ${BASE}${path}`);
  expect(off.status).toBe(405);
  const { errors } = (await off.json()) as { errors: { code: string; message: string }[] };
  expect(errors[0]?.code).toBe('UNSUPPORTED');
  expect(errors[0]?.message).toMatch(/registry\.example\.com.*push: true.*origins:/);
  expect(await codeOf(await call(lab, `${method} /v2/library/app${path}`))).toBe('405 UNSUPPORTED');
  expect([...lab.hub.asked, ...lab.other.asked]).toEqual([]);
});

test("a client's own credential is the one it pushes with, and it is told how to show one", async () => {
  await using lab = await startLab({ 'registry.example.com': { push: true } });
  await call(lab, `POST ${BASE}/blobs/uploads/`, undefined, { authorization: 'Bearer theirs' });
  const realm = { url: new URL('https://auth.example.com/token'), isTrusted: true };
  lab.other.demand = { scheme: 'bearer', realm, service: 'example', scopes: [] };
  const challenged = await call(lab, `POST ${BASE}/blobs/uploads/`);
  expect(await codeOf(challenged)).toBe('401 UNAUTHORIZED');
  expect(challenged.headers.get('www-authenticate')).toBe(
    `Bearer realm="http://127.0.0.1:${lab.port}/token",service="drayage",scope="repository:registry.example.com/team/app:pull,push"`,
  );
  const byNamespace = await call(lab, 'POST /v2/team/app/blobs/uploads/?ns=registry.example.com');
  expect(byNamespace.headers.get('www-authenticate')).toBe(
    'Bearer realm="https://auth.example.com/token",service="example",scope="repository:team/app:pull,push"',
  );
  await call(lab, `POST ${BASE}/blobs/uploads/`, undefined, { authorization: 'Bearer theirs' });
  expect(lab.other.asked).toEqual(['anonymous POST team/app blobs/uploads/', 'client POST team/app blobs/uploads/']);
  lab.other.state = 'private';
  const refused = await call(lab, `POST ${BASE}/blobs/uploads/`, undefined, { authorization: 'Bearer theirs' });
  expect([401, 403]).toContain(refused.status);
});

test('a digest of another algorithm is pushed, and not kept', async () => {
  await using lab = await startLab(OPEN);
  const digest = `sha512:${createHash('sha512').update(BYTES).digest('hex')}`;
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 202, next: new URL('http://origin.test/u') };
  const location = await begun(lab);
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 201 };
  expect((await call(lab, `PUT ${location}?digest=${digest}`, BYTES)).status).toBe(201);
  expect(lab.store.list()).toEqual([]);
});
