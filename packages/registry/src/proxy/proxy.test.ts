import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { reply } from '../origin/fake-server.ts';
import { addImage } from '../server/fake-parts.ts';
import { askOn, eventually, ORIGIN, startProxyLab } from './fake-proxy.ts';

const inside = (line: string, ...more: readonly string[]) =>
  [`${line} HTTP/1.1`, `Host: ${ORIGIN}`, 'Connection: close', ...more, '', ''].join('\r\n');

/** A server that gives back in capitals whatever it gets, and ends when its client does. */
async function startEcho() {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk.toString('latin1').toUpperCase()));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const dial = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  };
  return { dial, [Symbol.asyncDispose]: async () => void server.close() };
}

test('what the endpoint has is answered by it, and the origin is not asked', async () => {
  await using lab = await startProxyLab();
  const image = addImage(lab.other, 'team/app', '1');
  const manifest = await askOn(await lab.secure(), inside('GET /v2/team/app/manifests/1', 'Accept: */*'));
  expect(manifest).toMatch(/^HTTP\/1.1 200 /);
  expect(manifest).toContain(`Docker-Content-Digest: ${image.digest}`);
  const layer = await askOn(await lab.secure(), inside(`GET /v2/team/app/blobs/${image.layer}`));
  expect(layer.split('\r\n\r\n')[1]).toBe(image.layerBytes.toString());
  expect(lab.server.seen).toEqual([]);
  expect(lab.outcomes()).toEqual(['intercepted', 'intercepted']);
});

test('a path that spells another origin, or an ns, stays with the origin that was connected to', async () => {
  await using lab = await startProxyLab();
  addImage(lab.other, 'docker.io/library/app', '1');
  const answer = await askOn(await lab.secure(), inside('HEAD /v2/docker.io/library/app/manifests/1?ns=docker.io'));
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
  expect(lab.other.asked.every((asked) => asked.includes('docker.io/library/app'))).toBe(true);
});

test('signing in is the origin’s business, and its challenge comes back as it is', async () => {
  await using lab = await startProxyLab({
    handle: (_, response) =>
      reply(response, 401, '{}', { 'www-authenticate': 'Bearer realm="https://auth.test/token"' }),
  });
  const answer = await askOn(await lab.secure(), inside('GET /v2/'));
  expect(answer).toMatch(/^HTTP\/1.1 401 /);
  expect(answer.toLowerCase()).toContain('www-authenticate: bearer realm="https://auth.test/token"');
});

test('while the origin is away, what is held can be read by those who ask for /v2/ first', async () => {
  await using lab = await startProxyLab();
  addImage(lab.other, 'team/app', '1');
  await lab.server[Symbol.asyncDispose]();
  expect(await askOn(await lab.secure(), inside('GET /v2/'))).toMatch(/^HTTP\/1.1 200 /);
  expect(await askOn(await lab.secure(), inside('GET /v2/team/app/manifests/1'))).toMatch(/^HTTP\/1.1 200 /);
  const missing = await askOn(await lab.secure(), inside('GET /v2/team/app/manifests/2'));
  expect(missing).toMatch(/^HTTP\/1.1 502 /);
  expect(missing).toContain('UNAVAILABLE');
});

test.each([
  ['the policy leaves to the origin', { [ORIGIN]: { access: 'bypass' } } as const, 'up'],
  ['may not be read by just anyone', {}, 'private'],
  ['cannot be had here', {}, 'down'],
] as const)('what %s goes on to it with the client’s own credential', async (_, rules, state) => {
  await using lab = await startProxyLab({ rules });
  const image = addImage(lab.other, 'team/app', '1');
  lab.other.state = state;
  const paths = ['/v2/team/app/manifests/1', `/v2/team/app/blobs/${image.layer}`, '/v2/team/app/tags/list?n=5'];
  for (const path of paths) {
    const answer = await askOn(await lab.secure(), inside(`GET ${path}`, 'Authorization: Bearer mine', 'X-One: 1'));
    expect(answer.split('\r\n\r\n').at(1)).toContain('from the origin');
    const seen = lab.server.seen.at(-1);
    expect(seen).toMatchObject({ method: 'GET', url: path });
    expect(seen?.headers).toMatchObject({ authorization: 'Bearer mine', 'x-one': '1' });
    expect(seen?.headers.host).toBe(new URL(lab.server.url).host);
  }
  expect(lab.outcomes().filter((outcome) => outcome === 'forwarded')).toHaveLength(3);
});

test('a push goes through, with its body, its statuses and its locations', async () => {
  const digests: string[] = [];
  await using lab = await startProxyLab({
    handle: ({ method, url }, response, body) => {
      if (method === 'POST')
        return reply(response, 202, '', { location: `http://${response.req.headers.host}/up/1?s=a%2Fb` });
      digests.push(sha256(Buffer.from(body)));
      return reply(response, 201, '', { location: 'https://elsewhere.test/x', 'x-url': url });
    },
  });
  const begun = await askOn(await lab.secure(), inside('POST /v2/team/app/blobs/uploads/', 'Content-Length: 0'));
  expect(begun).toMatch(/^HTTP\/1.1 202 /);
  expect(begun.toLowerCase()).toContain('location: /up/1?s=a%2fb\r\n');
  const layer = 'x'.repeat(3_000_000);
  const put = `PUT /up/1?s=a%2Fb&digest=${sha256(Buffer.from(layer))}`;
  const whole = await askOn(await lab.secure(), inside(put, `Content-Length: ${layer.length}`) + layer);
  expect(whole).toMatch(/^HTTP\/1.1 201 /);
  expect(whole.toLowerCase()).toContain('location: https://elsewhere.test/x\r\n');
  expect(whole).toContain('s=a%2Fb&digest=');
  const chunked = `${layer.length.toString(16)}\r\n${layer}\r\n0\r\n\r\n`;
  const expecting = inside('PATCH /up/1', 'Transfer-Encoding: chunked', 'Expect: 100-continue') + chunked;
  expect(await askOn(await lab.secure(), expecting)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201 /);
  expect(digests).toEqual([sha256(Buffer.from(layer)), sha256(Buffer.from(layer))]);
});

test('an answer that comes before the body was read reaches the client, and its connection ends', async () => {
  const server = createServer((socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno!!'));
    socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await using lab = await startProxyLab({ url: `http://127.0.0.1:${port}` });
  const start = inside('PUT /v2/team/app/blobs/uploads/1', 'Content-Length: 5000000').replace('close', 'keep-alive');
  const answer = await askOn(await lab.secure(), start + 'x'.repeat(100_000));
  expect(answer).toMatch(/^HTTP\/1.1 401 /);
  expect(answer).toContain('no!!');
  server.close();
});

test('one connection carries many requests, and the next waits for the one before', async () => {
  await using lab = await startProxyLab();
  addImage(lab.other, 'team/app', '1');
  const head = (path: string) => `HEAD ${path} HTTP/1.1\r\nHost: ${ORIGIN}\r\n\r\n`;
  const secure = await lab.secure();
  const text = await askOn(secure, head('/v2/team/app/manifests/1') + head('/v2/') + inside('GET /other'));
  expect(text.match(/HTTP\/1.1 200 /g)).toHaveLength(3);
  expect(lab.server.seen.map(({ method, url }) => `${method} ${url}`)).toEqual(['HEAD /v2/', 'GET /other']);
});

test('a registry that is asked without TLS is answered in the same way', async () => {
  await using lab = await startProxyLab();
  const image = addImage(lab.other, 'team/app', '1');
  const ask = (path: string) =>
    askOn(
      connect(lab.port, '127.0.0.1'),
      `GET http://${ORIGIN}${path} HTTP/1.1\r\nHost: ${ORIGIN}\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: x\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\n`,
    );
  expect(await ask(`/v2/team/app/blobs/${image.layer}`)).toContain(image.layerBytes.toString());
  expect(await ask('/v2/')).toContain('from the origin');
  const [seen] = lab.server.seen;
  expect(seen?.url).toBe('/v2/');
  expect(Object.keys(seen?.headers ?? {})).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/^proxy-|x-hop/)]),
  );
});

test('whoever is no origin is reached through a tunnel, byte for byte and to the end of both sides', async () => {
  await using echo = await startEcho();
  await using lab = await startProxyLab({ dial: echo.dial });
  const { status, socket } = await lab.connectTo('auth.example.com:443');
  expect(status).toBe(200);
  socket.end('hello');
  expect(Buffer.concat(await Array.fromAsync(socket)).toString()).toBe('HELLO');
  await eventually(() => lab.outcomes().includes('tunnelled'));
  expect(lab.happenings).toContainEqual({
    kind: 'proxied',
    outcome: 'tunnelled',
    target: 'auth.example.com:443',
    bytes: 10,
    problem: undefined,
  });
});

test('a tunnel on which nothing moves is closed, sooner when one side has ended', async () => {
  await using echo = await startEcho();
  await using lab = await startProxyLab({ dial: echo.dial, parts: { limits: { idleMs: 50 } } });
  const { socket } = await lab.connectTo('auth.example.com:443');
  socket.resume();
  await once(socket, 'end');
  socket.destroy();
  await eventually(() => lab.outcomes().includes('tunnelled'));
});

test('told to refuse others, it still leads to the hosts that tokens come from', async () => {
  await using echo = await startEcho();
  await using lab = await startProxyLab({ dial: echo.dial, others: 'refuse' });
  const allowed = await lab.connectTo('auth.example.com:443');
  expect(allowed.status).toBe(200);
  allowed.socket.destroy();
  const refused = await lab.connectTo('elsewhere.example.com:443');
  expect(refused.status).toBe(403);
  const plain = 'GET http://elsewhere.example.com/ HTTP/1.1\r\nHost: elsewhere.example.com\r\n\r\n';
  expect(await askOn(connect(lab.port, '127.0.0.1'), plain)).toMatch(/^HTTP\/1.1 403 /);
});

test('a client that does not trust the certificate is tunnelled the next time', async () => {
  await using echo = await startEcho();
  await using lab = await startProxyLab({ dial: echo.dial });
  const words = ['s_client', '-proxy', `127.0.0.1:${lab.port}`, '-connect', `${ORIGIN}:443`, '-verify_return_error'];
  const client = spawn('openssl', words, { stdio: 'ignore' });
  const [code] = await once(client, 'exit');
  expect(code).not.toBe(0);
  await eventually(() => lab.outcomes().includes('failed'));
  const told = lab.happenings.find((one) => one.kind === 'proxied' && one.outcome === 'failed');
  expect(told).toMatchObject({ problem: expect.stringContaining('drayage setup docker --proxy') });
  const second = await lab.connectTo(`${ORIGIN}:443`);
  second.socket.end('x');
  expect(Buffer.concat(await Array.fromAsync(second.socket)).toString()).toBe('X');
});

test('draining lets an answer and a tunnel end, and cuts off what is left when its time is up', async () => {
  await using echo = await startEcho();
  await using lab = await startProxyLab({ dial: echo.dial });
  const { socket } = await lab.connectTo('auth.example.com:443');
  const idle = await lab.secure();
  const stop = new AbortController();
  const drained = lab.proxy.drain(stop.signal);
  await once(idle.resume(), 'end');
  socket.write('still here');
  const [chunk] = (await once(socket.resume(), 'data')) as [Buffer];
  expect(chunk.toString()).toBe('STILL HERE');
  stop.abort();
  await drained;
});
