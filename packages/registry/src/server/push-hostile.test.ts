import { once } from 'node:events';
import { connect } from 'node:net';
import { type Intake, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { sendRaw, startLab } from './fake-parts.ts';
import { SAYS_NOTHING } from './fake-push.ts';
import { BASE, BYTES, begun, call, codeOf, DIGEST, OPEN } from './fake-pusher.ts';

test.each([
  ['takes nothing', undefined],
  ['gives out in the midst', { seal: async () => 'lost' as const }],
])('a disk that %s fails no push', async (_what, failing) => {
  const store = memoryStore();
  const intake = async () =>
    failing && { ...(await store.intake()), bytes: undefined, append: async () => {}, ...failing };
  await using lab = await startLab(OPEN, { store: { ...store, intake: async () => (await intake()) as Intake } });
  expect((await call(lab, `PUT ${await begun(lab)}?digest=${DIGEST}`, BYTES)).status).toBe(201);
  expect(lab.other.blobs.get(`team/app ${DIGEST}`)?.equals(BYTES)).toBe(true);
  expect(lab.happenings).toContainEqual(
    expect.objectContaining({ kind: 'pushed', isKept: false, bytes: BYTES.length }),
  );
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

test('an upload may take longer than any wait for a first byte, as long as bytes come', async () => {
  const limits = { firstByteMs: 50, patientFirstByteMs: 50, uploadStallMs: 10_000 };
  await using lab = await startLab(OPEN, { limits });
  const socket = connect(lab.port, '127.0.0.1');
  const head = `Host: localhost:${lab.port}\r\nConnection: close\r\nContent-Length: ${BYTES.length}`;
  socket.write(`PUT ${await begun(lab)}?digest=${DIGEST} HTTP/1.1\r\n${head}\r\n\r\n`);
  for (let at = 0; at < BYTES.length; at += 100_000) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    socket.write(BYTES.subarray(at, at + 100_000));
  }
  expect(Buffer.concat(await Array.fromAsync(socket)).toString()).toMatch(/^HTTP\/1\.1 201 /);
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
