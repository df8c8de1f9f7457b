import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { sha256 } from '@drayage/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addImage, type RawAnswer, sendRaw, startLab } from './fake-parts.ts';

function isRefusal({ headers, body }: RawAnswer): boolean {
  const document = JSON.parse(body.toString());
  return (
    headers.get('content-length') === String(body.length) &&
    headers.get('content-type') === 'application/json' &&
    typeof document.errors[0].code === 'string' &&
    typeof document.errors[0].message === 'string'
  );
}

test.each(['GET', 'HEAD'])('%s /v2/ says what this is', async (method) => {
  await using lab = await startLab();
  const answer = await fetch(`${lab.base}/v2/`, { method });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('docker-distribution-api-version')).toBe('registry/2.0');
  expect([answer.headers.get('content-type'), answer.headers.get('content-length')]).toEqual(['application/json', '2']);
  expect(await answer.text()).toBe(method === 'GET' ? '{}' : '');
});

test('a TLS greeting is answered in HTTP at once', async () => {
  await using lab = await startLab();
  const socket = connectTls({ port: lab.port, host: '127.0.0.1', rejectUnauthorized: false });
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ERR_SSL_WRONG_VERSION_NUMBER');
  const hello = Buffer.from('16030100050100000100', 'hex');
  const answer = await sendRaw(lab.port, hello);
  expect(answer.status).toBe(400);
  expect(isRefusal(answer)).toBe(true);
});

test('a connection on which nothing was asked does not hold up the end', async () => {
  const lab = await startLab();
  const socket = connect({ port: lab.port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const ended = once(socket.resume(), 'close');
  await lab.endpoint.drain(AbortSignal.timeout(20_000));
  await ended;
  await lab[Symbol.asyncDispose]();
});

test('it listens on the IPv6 loopback address too', async () => {
  await using lab = await startLab();
  const hosts = lab.endpoint.addresses.map(({ host }) => host);
  if (!hosts.includes('::1')) return;
  expect((await fetch(`http://[::1]:${lab.port}/v2/`)).status).toBe(200);
});

test('an address that is taken is said so, and nothing stays open', async () => {
  await using lab = await startLab();
  const free = { host: '127.0.0.1', port: 0 };
  const taken = { host: '127.0.0.1', port: lab.port };
  await expect(startLab({}, { listen: [free, taken] })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test.each([
  ['127.0.0.1:PORT', 200],
  ['localhost:PORT', 200],
  ['LOCALHOST:PORT', 200],
  ['[::1]:PORT', 200],
  ['drayage.internal:8080', 200],
  ['evil.example.com', 421],
  ['evil.example.com:PORT', 421],
  ['localhost', 421],
  ['localhost:1', 421],
  ['drayage.internal:PORT', 421],
  ['127.0.0.1:PORT@evil.example.com', 421],
  ['', 421],
])('the Host %s gets %i', async (host, status) => {
  await using lab = await startLab();
  const named = host.replace('PORT', String(lab.port));
  const answer = await sendRaw(lab.port, `GET /v2/ HTTP/1.1\r\nHost: ${named}\r\nConnection: close\r\n\r\n`);
  expect(answer.status).toBe(status);
  if (status !== 200) expect(isRefusal(answer)).toBe(true);
});

test.each([
  ['no Host', 'GET /v2/ HTTP/1.1\r\n', 400],
  ['no Host in HTTP/1.0', 'GET /v2/ HTTP/1.0\r\n', 400],
  ['two Hosts', 'GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nHost: localhost:PORT\r\n', 400],
  ['an absolute target', 'GET http://localhost:PORT/v2/ HTTP/1.1\r\nHost: localhost:PORT\r\n', 400],
  ['an Origin', 'GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nOrigin: http://localhost:PORT\r\n', 403],
  ['a cross-site request', 'GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nSec-Fetch-Site: cross-site\r\n', 403],
  ['a same-site request', 'GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nSec-Fetch-Site: same-site\r\n', 403],
  ['a strange method', 'PROPFIND /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\n', 405],
  ['a strange expectation', 'PUT /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: localhost:PORT\r\nExpect: rain\r\n', 405],
  ['an offered body', 'PUT /v2/a/b/manifests/1 HTTP/1.1\r\nHost: localhost:PORT\r\nExpect: 100-continue\r\n', 405],
  ['an unread body', 'POST /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Length: 1000000\r\n', 405],
  ['no HTTP', 'hello there\r\n', 400],
  ['two lengths', 'GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Length: 1\r\nContent-Length: 2\r\n', 400],
  ['huge headers', `GET /v2/ HTTP/1.1\r\nHost: localhost:PORT\r\nX: ${'x'.repeat(70_000)}\r\n`, 431],
])('%s is refused in JSON', async (_what, text, status) => {
  await using lab = await startLab();
  const request = `${text.replaceAll('PORT', String(lab.port))}Connection: close\r\n\r\n`;
  const answer = await sendRaw(lab.port, request);
  expect(answer.status).toBe(status);
  expect(isRefusal(answer)).toBe(true);
});

test('large tokens fit into the headers', async () => {
  await using lab = await startLab();
  expect((await fetch(`${lab.base}/v2/`, { headers: { authorization: `Bearer ${'x'.repeat(40_000)}` } })).status).toBe(
    200,
  );
});

test('pushing is refused with words', async () => {
  await using lab = await startLab();
  const answer = await fetch(`${lab.base}/v2/registry.example.com/team/app/blobs/uploads/`, { method: 'POST' });
  expect(answer.status).toBe(405);
  expect(await answer.json()).toMatchObject({
    errors: [{ code: 'UNSUPPORTED', message: expect.stringContaining('push to the origin') }],
  });
});

test('requests sent in one go are answered one after the other', async () => {
  await using lab = await startLab();
  const { layer } = addImage(lab.hub, 'library/app', '1', Buffer.from('first'));
  const head = `Host: localhost:${lab.port}\r\n`;
  const socket = connect(lab.port, '127.0.0.1');
  socket.write(`GET /v2/library/app/blobs/${layer} HTTP/1.1\r\n${head}\r\n`);
  socket.write(`GET /v2/ HTTP/1.1\r\n${head}Connection: close\r\n\r\n`);
  const text = Buffer.concat(await Array.fromAsync(socket)).toString();
  expect(text.indexOf('first')).toBeGreaterThan(0);
  expect(text.indexOf('{}')).toBeGreaterThan(text.indexOf('first'));
});

test('rubbish after a request does not get into its answer', async () => {
  await using lab = await startLab();
  const text = `GET /v2/ HTTP/1.1\r\nHost: localhost:${lab.port}\r\n\r\nrubbish\r\n\r\n`;
  const answer = await sendRaw(lab.port, text);
  expect([answer.status, answer.body.toString()]).toEqual([200, '{}']);
});

test('the three dialects reach the origin they mean', async () => {
  await using lab = await startLab();
  const image = addImage(lab.other, 'team/app', '1');
  const paths = [
    '/v2/team/app/manifests/1?ns=registry.example.com',
    '/v2/registry.example.com/team/app/manifests/1',
    '/v2/registry.example.com/team/app/manifests/1?ns=registry.example.com',
    '/v2/plain.example.com_5080/team/app/manifests/1',
    '/v2/team/app/manifests/1?ns=plain.example.com%3A5080',
  ];
  const answers = await Promise.all(paths.map((path) => fetch(`${lab.base}${path}`)));
  expect(answers.map(({ headers }) => headers.get('docker-content-digest'))).toEqual(paths.map(() => image.digest));
  expect((await fetch(`${lab.base}/v2/team/app/manifests/1`)).status).toBe(404);
});

test.each(['/v2/new.example.com/x/manifests/1', '/v2/x/y/manifests/1?ns=new.example.com'])(
  'the unknown origin in %s is named with how to add it',
  async (path) => {
    await using lab = await startLab();
    const answer = await fetch(`${lab.base}${path}`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({
      errors: [{ code: 'NAME_UNKNOWN', message: expect.stringContaining('--origin new.example.com=') }],
    });
  },
);

test('a request that leads back to this agent is not followed', async () => {
  await using lab = await startLab();
  const answers = [`/v2/localhost_${lab.port}/x/manifests/1`, `/v2/a/b/manifests/1?ns=127.0.0.1:${lab.port}`].map(
    async (path) => (await fetch(`${lab.base}${path}`)).text(),
  );
  for (const text of await Promise.all(answers)) expect(text).toContain('this agent itself');
});

const PIECES = [
  '/v2/',
  'library/',
  'app',
  'manifests/',
  'blobs/',
  'tags/list',
  'referrers/',
  '..',
  '%2e',
  '?ns=',
  '&n=',
  '1',
];
const DIGESTS = [`sha256:${'0'.repeat(64)}`, sha256(Buffer.from('x')), 'sha256:', 'docker.io', 'registry.example.com/'];
const STATUSES = [200, 206, 400, 403, 404, 405, 416, 421, 431];
const visible = fc.string({
  unit: fc.integer({ min: 0x21, max: 0xff }).map((code) => String.fromCharCode(code)),
  maxLength: 12,
});
const pathOf = fc
  .array(fc.oneof(fc.constantFrom(...PIECES, ...DIGESTS), visible), { maxLength: 8 })
  .map((parts) => parts.join(''));
const headerOf = fc.tuple(
  fc.constantFrom(
    'Range',
    'Accept',
    'Expect',
    'If-Range',
    'Content-Length',
    'Transfer-Encoding',
    'User-Agent',
    'Origin',
  ),
  fc.oneof(visible, fc.constantFrom('bytes=0-', 'bytes=-1', 'bytes=9-', '0', 'chunked', '100-continue', '*/*')),
);

test('whatever is asked, the answer is no server error and well formed', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  const request = fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'get', 'M-SEARCH'),
    path: pathOf,
    headers: fc.array(headerOf, { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ method, path, headers }) => {
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const text = `${method} /v2/${path} HTTP/1.1\r\nHost: localhost:${lab.port}\r\nConnection: close\r\n${lines}\r\n0\r\n\r\n`;
      const answer = await sendRaw(lab.port, Buffer.from(text, 'latin1'));
      expect(STATUSES).toContain(answer.status);
      if (answer.status >= 400 && method !== 'HEAD') expect(isRefusal(answer)).toBe(true);
    }),
    { numRuns: 400 },
  );
});
