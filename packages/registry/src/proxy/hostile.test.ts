import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { addImage } from '../server/fake-parts.ts';
import { askOn, eventually, ORIGIN, startProxyLab } from './fake-proxy.ts';

const raw = (port: number, text: string) => askOn(connect(port, '127.0.0.1'), text);

test.each([
  `${ORIGIN}`,
  `${ORIGIN}:0`,
  `${ORIGIN}:99999`,
  `${ORIGIN}..:443`,
  `${ORIGIN}:443@evil.test:443`,
  `http://${ORIGIN}:443/`,
  `/v2/`,
  '2130706433:443',
  '0x7f.1:443',
  '127.1:443',
  '[::1%lo]:443',
])('CONNECT %s is refused before anything is done', async (authority) => {
  await using lab = await startProxyLab();
  const { status, socket } = await lab.connectTo(authority);
  socket.destroy();
  expect(status).toBe(400);
  expect(lab.outcomes().every((outcome) => outcome === 'refused')).toBe(true);
});

test.each(['127.0.0.1:22', '[::1]:443', '[::ffff:127.0.0.1]:443', '169.254.169.254:80', 'localhost:443'])(
  'CONNECT %s is refused, and so is a request for it',
  async (authority) => {
    await using lab = await startProxyLab();
    const { status, socket } = await lab.connectTo(authority);
    socket.destroy();
    expect(status).toBe(403);
    const request = `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
    expect(await raw(lab.port, request)).toMatch(/^HTTP\/1.1 403 /);
  },
);

test.each([`${ORIGIN.toUpperCase()}:443`, `${ORIGIN}.:443`])('%s is the origin all the same', async (authority) => {
  await using lab = await startProxyLab();
  addImage(lab.other, 'team/app', '1');
  const secure = await lab.secure(authority);
  const request = `HEAD /v2/team/app/manifests/1 HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
  expect(await askOn(secure, request)).toMatch(/^HTTP\/1.1 200 /);
});

test('a NUL in a name ends the connection', async () => {
  await using lab = await startProxyLab();
  const answer = await raw(lab.port, `CONNECT ${ORIGIN}\0.evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1.1 400 /);
});

test.each(['evil.test', `${ORIGIN}:8443`, '', `${ORIGIN}, evil.test`, '10.0.0.1', `${ORIGIN}@evil.test`])(
  'inside a connection to the origin, the Host %j gets nothing',
  async (host) => {
    await using lab = await startProxyLab();
    const image = addImage(lab.other, 'team/app', '1');
    const blob = `GET /v2/team/app/blobs/${image.layer} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const answer = await askOn(await lab.secure(), blob);
    expect(answer).toMatch(/^HTTP\/1.1 4(?:00|21) /);
    expect(answer).not.toContain(image.layerBytes.toString());
    expect([...lab.server.seen, ...lab.other.asked]).toEqual([]);
  },
);

test.each([
  ['two hosts', `Host: ${ORIGIN}\r\nHost: evil.test\r\n`],
  ['no host', ''],
])('inside a connection to the origin, a request with %s is refused', async (_, headers) => {
  await using lab = await startProxyLab();
  const answer = await askOn(await lab.secure(), `GET /v2/ HTTP/1.1\r\n${headers}\r\n`);
  expect(answer).toMatch(/^HTTP\/1.1 4(?:00|21) /);
  expect(lab.server.seen).toEqual([]);
});

test.each([
  ['an absolute target', 'GET http://evil.test/v2/ HTTP/1.1'],
  ['another absolute target', `GET https://${ORIGIN}/v2/ HTTP/1.1`],
  ['a tunnel', 'CONNECT evil.test:443 HTTP/1.1'],
  ['a question to the server', 'OPTIONS * HTTP/1.1'],
])('inside a connection to the origin, %s is refused', async (_, line) => {
  await using lab = await startProxyLab();
  const answer = await askOn(await lab.secure(), `${line}\r\nHost: ${ORIGIN}\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1.1 400 /);
  expect(lab.server.seen).toEqual([]);
});

const SMUGGLED = `GET /smuggled HTTP/1.1\r\nHost: ${ORIGIN}\r\n\r\n`;

test.each([
  ['a length beside chunks', `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ['two lengths', `Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`],
  ['chunks not last', `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ['a chunk size that is none', `Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n${SMUGGLED}`],
  [
    'a folded header',
    `X-A: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`.replace('\r\n Tr', '\n\x0bTr'),
  ],
])('a second request hidden behind %s reaches nobody', async (_, rest) => {
  await using lab = await startProxyLab();
  const secure = await lab.secure();
  await askOn(secure, `POST /first HTTP/1.1\r\nHost: ${ORIGIN}\r\n${rest}`);
  expect(lab.server.seen.map(({ url }) => url)).not.toContain('/smuggled');
});

test('a body is one request at the origin, whatever stands in it', async () => {
  await using lab = await startProxyLab();
  const post = `POST /first HTTP/1.1\r\nHost: ${ORIGIN}\r\nConnection: close\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`;
  expect(await askOn(await lab.secure(), post + SMUGGLED)).toMatch(/^HTTP\/1.1 200 /);
  expect(lab.server.seen.map(({ url }) => url)).toEqual(['/first']);
});

test('headers without end are cut off, outside and inside', async () => {
  await using lab = await startProxyLab();
  const huge = `X-Huge: ${'x'.repeat(70_000)}\r\n\r\n`;
  expect(await raw(lab.port, `CONNECT ${ORIGIN}:443 HTTP/1.1\r\nHost: x\r\n${huge}`)).toMatch(/^HTTP\/1.1 431 /);
  expect(await askOn(await lab.secure(), `GET /v2/ HTTP/1.1\r\nHost: ${ORIGIN}\r\n${huge}`)).toMatch(/^HTTP\/1.1 431 /);
});

test('a TLS greeting for another host than CONNECT gets no certificate', async () => {
  await using lab = await startProxyLab();
  await expect(lab.secure(`${ORIGIN}:443`, 'evil.test')).rejects.toThrow();
  await eventually(() => lab.outcomes().includes('failed'));
  expect(lab.server.seen).toEqual([]);
});

test('what is no TLS inside a connection to an origin ends it', async () => {
  await using lab = await startProxyLab();
  const { socket } = await lab.connectTo(`${ORIGIN}:443`);
  expect(await askOn(socket, `GET /v2/ HTTP/1.1\r\nHost: ${ORIGIN}\r\n\r\n`)).not.toContain('from the origin');
  expect(lab.server.seen).toEqual([]);
});

test('a plain request to the proxy itself, or one whose Host is another, is refused', async () => {
  await using lab = await startProxyLab();
  expect(await raw(lab.port, `GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1:${lab.port}\r\n\r\n`)).toMatch(/this is a proxy/);
  const other = `GET http://${ORIGIN}/v2/ HTTP/1.1\r\nHost: evil.test\r\n\r\n`;
  expect(await raw(lab.port, other)).toMatch(/^HTTP\/1.1 400 /);
  expect(lab.server.seen).toEqual([]);
});

test('a client that goes away in the middle of a push leaves nothing behind', async () => {
  await using lab = await startProxyLab();
  const secure = await lab.secure();
  secure.write(`PUT /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: ${ORIGIN}\r\nContent-Length: 1000000\r\n\r\nxxxx`);
  await eventually(() => lab.server.connections() === 1);
  secure.destroy();
  await eventually(() => lab.outcomes().length === 2);
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'proxied', bytes: 4 }));
});

test('connections are bounded, and the next one is told so', async () => {
  await using lab = await startProxyLab({ parts: { limits: { connectionsMax: 2 } } });
  const [first, second] = [await lab.secure(), await lab.connectTo(`${ORIGIN}:443`)];
  const third = await lab.connectTo(`${ORIGIN}:443`);
  expect([second.status, third.status]).toEqual([200, 503]);
  expect(await askOn(first, `GET / HTTP/1.1\r\nHost: ${ORIGIN}\r\nConnection: close\r\n\r\n`)).toMatch(/ 200 /);
  third.socket.destroy();
  // The first is gone as soon as the proxy has seen that.
  let next = await lab.connectTo(`${ORIGIN}:443`);
  while (next.status === 503) next = await lab.connectTo(`${ORIGIN}:443`);
  expect(next.status).toBe(200);
  for (const { socket } of [second, next]) socket.destroy();
});

test('no credential is ever told', async () => {
  await using lab = await startProxyLab();
  const secret = 'canary-credential';
  await raw(lab.port, `CONNECT nowhere.test:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${secret}\r\n\r\n`);
  const authorized = `Host: ${ORIGIN}\r\nAuthorization: Bearer ${secret}\r\nConnection: close\r\n\r\n`;
  await askOn(await lab.secure(), `GET /v2/team/app/manifests/1?token=${secret} HTTP/1.1\r\n${authorized}`);
  await askOn(await lab.secure(), `GET /login?password=${secret} HTTP/1.1\r\n${authorized}`);
  await raw(lab.port, `GET http://nowhere.test/?token=${secret} HTTP/1.1\r\nHost: nowhere.test\r\n\r\n`);
  expect(lab.happenings.length).toBeGreaterThan(3);
  expect(JSON.stringify(lab.happenings)).not.toContain(secret);
});
