import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type Lab, OCI_IMAGE, sendRaw, startLab } from './fake-parts.ts';
import { SAYS_NOTHING } from './fake-push.ts';

const OPEN = { 'registry.example.com': { access: 'node', push: true } } as const;
const BASE = '/v2/registry.example.com/team/app';
const BYTES = randomBytes(300_000);
const DIGEST = sha256(BYTES);

type Sent = Uint8Array | string | ReadableStream;

async function call({ base }: Lab, request: string, body?: Sent, headers: Record<string, string> = {}) {
  const [method = '', path = ''] = request.split(' ');
  return fetch(`${base}${path}`, {
    method,
    headers,
    ...(body !== undefined && { body, duplex: 'half' }),
  } as RequestInit);
}

async function begun(lab: Lab, base = BASE): Promise<string> {
  const answer = await call(lab, `POST ${base}/blobs/uploads/`);
  expect(answer.status).toBe(202);
  return answer.headers.get('location') ?? '';
}

async function codeOf(answer: Response): Promise<string> {
  const { errors } = (await answer.json()) as { errors: { code: string }[] };
  return `${answer.status} ${errors[0]?.code}`;
}

function streamOf(...parts: Uint8Array[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

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

test('an origin that takes other bytes than the digest names does not make this host keep them', async () => {
  await using lab = await startLab(OPEN);
  const location = await begun(lab);
  await call(lab, `PATCH ${location}`, BYTES.subarray(1));
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 201, digest: DIGEST };
  expect((await call(lab, `PUT ${location}?digest=${DIGEST}`)).status).toBe(201);
  expect(lab.store.list()).toEqual([]);
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'corrupt', where: 'origin', digest: DIGEST }));
});

test('an origin that has fewer bytes than were sent does not make this host keep the rest', async () => {
  await using lab = await startLab(OPEN);
  const location = await begun(lab);
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 202, range: '0-99' };
  expect((await call(lab, `PATCH ${location}`, BYTES)).headers.get('range')).toBe('0-99');
  lab.other.refusesPush = { ...SAYS_NOTHING, status: 201 };
  expect((await call(lab, `PUT ${location}?digest=${DIGEST}`)).status).toBe(201);
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

test('an upload is known to its own repository only, and under no changed name', async () => {
  await using lab = await startLab({ ...OPEN, 'docker.io': { access: 'node', push: true } });
  const location = await begun(lab);
  const id = location.split('/').at(-1) ?? '';
  const asked = lab.other.asked.length;
  for (const path of [
    location.replace('team/app', 'team/other'),
    `/v2/team/app/blobs/uploads/${id}`,
    location.replace(id, id.toLowerCase().replace(/.$/, '_')),
    location.replace(id, 'a'.repeat(22)),
    location.replace(id, 'x'),
    `${location}=`,
    location.replace(id, Buffer.from('http://evil.test/').toString('base64url')),
  ]) {
    for (const method of ['PATCH', 'GET', 'DELETE']) {
      const answer = await call(lab, `${method} ${path}`, method === 'PATCH' ? 'x' : undefined);
      expect(await codeOf(answer)).toBe('404 BLOB_UPLOAD_UNKNOWN');
    }
  }
  expect(lab.other.asked.length).toBe(asked);
  expect((await call(lab, `DELETE ${location}`)).status).toBe(204);
  expect(await codeOf(await call(lab, `GET ${location}`))).toBe('404 BLOB_UPLOAD_UNKNOWN');
});

test('a client is asked for its body only when somebody will take it', async () => {
  await using lab = await startLab(OPEN);
  const location = await begun(lab);
  const head = (path: string) =>
    `PUT ${path}?digest=${DIGEST} HTTP/1.1\r\nHost: localhost:${lab.port}\r\nConnection: close\r\nContent-Length: ${BYTES.length}\r\nExpect: 100-continue\r\n\r\n`;
  expect((await sendRaw(lab.port, head(`${BASE}/blobs/uploads/${'a'.repeat(22)}`))).status).toBe(404);
  const socket = connect(lab.port, '127.0.0.1');
  socket.write(head(location));
  const [invitation] = await once(socket, 'data');
  expect(String(invitation)).toMatch(/^HTTP\/1\.1 100 /);
  socket.write(BYTES);
  const rest = Buffer.concat(await Array.fromAsync(socket)).toString();
  expect(rest).toMatch(/^HTTP\/1\.1 201 /);
});

test('a client that breaks off, stalls or sends nonsense ends its upload, and nothing of it is kept', async () => {
  await using lab = await startLab(OPEN);
  const head = (location: string, more: string) =>
    `PATCH ${location} HTTP/1.1\r\nHost: localhost:${lab.port}\r\n${more}\r\n\r\n`;
  const broken = connect(lab.port, '127.0.0.1');
  broken.write(`${head(await begun(lab), 'Content-Length: 1000')}some`);
  broken.end();
  await once(broken.resume(), 'close');
  await using impatient = await startLab(OPEN, { limits: { uploadStallMs: 200 } });
  const stalled = await sendRaw(
    impatient.port,
    `${head(await begun(impatient), 'Content-Length: 1000\r\nConnection: close').replace(`:${lab.port}`, `:${impatient.port}`)}some`,
  );
  expect([stalled.status, JSON.parse(stalled.body.toString()).errors[0].code]).toEqual([408, 'BLOB_UPLOAD_INVALID']);
  const nonsense = `${head(await begun(lab), 'Transfer-Encoding: chunked')}4\r\nsome\r\nnonsense\r\n`;
  expect((await sendRaw(lab.port, nonsense)).status).toBe(408);
  expect(lab.store.list()).toEqual([]);
  expect([...lab.other.uploads.values()].every(({ length }) => length === 0)).toBe(true);
});

test('chunks of nothing are no harm, and more than was announced is no part of the upload', async () => {
  await using lab = await startLab(OPEN);
  const location = await begun(lab);
  const empty = await sendRaw(
    lab.port,
    `PATCH ${location} HTTP/1.1\r\nHost: localhost:${lab.port}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  );
  expect([empty.status, empty.headers.get('range')]).toEqual([202, '0-0']);
  await sendRaw(
    lab.port,
    `PATCH ${location} HTTP/1.1\r\nHost: localhost:${lab.port}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nsomeextra`,
  );
  const digest = sha256(Buffer.from('some'));
  expect((await call(lab, `PUT ${location}?digest=${digest}`)).status).toBe(201);
  expect(lab.store.sizeOf(digest)).toBe(4);
});

test('a web page cannot push', async () => {
  await using lab = await startLab(OPEN);
  for (const header of ['Origin: http://evil.test', 'Sec-Fetch-Site: cross-site', 'Origin: null']) {
    const text = `POST ${BASE}/blobs/uploads/ HTTP/1.1\r\nHost: localhost:${lab.port}\r\n${header}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
    expect((await sendRaw(lab.port, text)).status).toBe(403);
  }
  const rebound = `PUT ${BASE}/manifests/1 HTTP/1.1\r\nHost: evil.test:${lab.port}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`;
  expect((await sendRaw(lab.port, rebound)).status).toBe(421);
  expect(lab.other.asked).toEqual([]);
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
