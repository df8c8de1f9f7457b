import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type Span, sha256 } from '@drayage/core';
import { afterEach, expect, test, vi } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { type FakeServer, type Handler, reply, type Seen, startFakeServer } from './fake-server.ts';
import type { OriginRepository, Origins } from './types.ts';

const blob = randomBytes(300_000);
const digest = sha256(blob);

afterEach(() => vi.unstubAllEnvs());

test('a span arrives exactly, asked for under our own headers alone', async () => {
  await using canary = await startFakeServer((_, response) => reply(response, 500, ''));
  vi.stubEnv('HTTP_PROXY', canary.url);
  vi.stubEnv('http_proxy', canary.url);
  await using lab = await start(ranged);
  expect(await lab.read({ start: 70_000, end: 290_000 })).toEqual(blob.subarray(70_000, 290_000));
  const [request] = lab.server.seen;
  const names = request?.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  expect(names?.sort()).toEqual(['accept-encoding', 'connection', 'host', 'range', 'user-agent']);
  expect(request?.headers).toMatchObject({ 'accept-encoding': 'identity', 'user-agent': 'drayage/1.2.3' });
  expect(request?.headers.range).toBe('bytes=70000-289999');
  expect(request?.url).toBe(`/v2/team/app/blobs/${digest}`);
  expect(canary.seen).toEqual([]);
});

test('connections serve span after span', async () => {
  await using lab = await start(ranged);
  for (let start = 0; start < 30; start += 1) await lab.read({ start, end: 290_000 });
  expect(lab.server.seen).toHaveLength(30);
  // Two, when one is not yet free again as the next question comes.
  expect(lab.server.connections()).toBeLessThanOrEqual(2);
});

test('an empty span is never asked for', async () => {
  await using lab = await start(ranged);
  expect(await lab.read({ start: blob.length, end: blob.length })).toEqual(Buffer.alloc(0));
  expect(lab.server.seen).toEqual([]);
});

test('a server that ignores ranges is read up to the span and no further', async () => {
  await using lab = await start((_, response) => reply(response, 200, blob));
  expect(await lab.read({ start: 100_000, end: 200_000 })).toEqual(blob.subarray(100_000, 200_000));
});

test('whoever stops reading frees the connection', async () => {
  let closed: Promise<unknown> | undefined;
  await using lab = await start((_, response) => {
    closed = new Promise((done) => response.on('close', done));
    response.writeHead(206, { 'content-range': 'bytes 0-299999/300000', 'content-length': 300_000 });
    response.write(blob.subarray(0, 1000));
  });
  for await (const _ of lab.repository.read(digest, { start: 0, end: 300_000 }, never)) break;
  await closed;
});

test.each<[string, Handler]>([
  ['sends other bytes', (_, response) => reply(response, 206, 'x', { 'content-range': 'bytes 5-5/300000' })],
  ['sends less', (_, response) => reply(response, 206, 'x', { 'content-range': 'bytes 0-9/300000' })],
  ['compresses', (_, response) => reply(response, 200, blob, { 'content-encoding': 'gzip' })],
  ['breaks off', (_, response) => breakOff(response)],
  [
    'has no such range, and lies about the length of that answer',
    (_, response) => {
      response.writeHead(416, { 'content-length': blob.length });
      response.write('{}');
    },
  ],
])('an origin that %s is unavailable, soon', async (_, handler) => {
  await using lab = await start(handler);
  await expect(lab.read({ start: 0, end: 10 })).rejects.toMatchObject({ code: 'origin_unavailable' });
});

test('a body that breaks off is not asked for again, for the reader has some of it', async () => {
  await using lab = await start((_, response) => breakOff(response));
  await expect(lab.read({ start: 0, end: 10 })).rejects.toMatchObject({ code: 'origin_unavailable' });
  expect(lab.server.seen).toHaveLength(1);
});

test('a reader that gives up gets its own reason back', async () => {
  const stop = new AbortController();
  await using lab = await start(() => stop.abort(new Error('enough')));
  await expect(lab.read({ start: 0, end: 10 }, stop.signal)).rejects.toThrow('enough');
});

test('a blob the origin lacks has no size, and cannot be read', async () => {
  await using lab = await start((_, response) => reply(response, 404, ''));
  expect(await lab.repository.stat(digest, never)).toBeUndefined();
  await expect(lab.read({ start: 0, end: 10 })).rejects.toMatchObject({ code: 'blob_unknown' });
});

test('the size of a blob must be said, and be bearable', async () => {
  const lengths: Readonly<Record<string, string>> = { good: '300000', absurd: '9007199254740991' };
  await using lab = await start((request, response) => {
    const length = lengths[request.url.split('/')[3] ?? ''];
    response
      .writeHead(200, length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': length })
      .end();
  });
  const size = (path: string) =>
    lab.origins.repository('lab', `team/${path}`, { kind: 'anonymous' }).stat(digest, never);
  expect(await size('good')).toBe(300_000);
  await expect(size('absurd')).rejects.toMatchObject({ code: 'origin_unavailable' });
  await expect(size('silent')).rejects.toMatchObject({ code: 'origin_unavailable' });
});

interface Lab extends AsyncDisposable {
  readonly server: FakeServer;
  readonly origins: Origins;
  readonly repository: OriginRepository;
  read(span: Span, signal?: AbortSignal): Promise<Buffer>;
}

async function start(handler: Handler): Promise<Lab> {
  const server = await startFakeServer(handler);
  const lab = startLab({ url: server.url });
  const repository = lab.repository();
  return {
    server,
    origins: lab.origins,
    repository,
    read: (span, signal = never) => collect(repository.read(digest, span, signal)),
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

function ranged(request: Seen, response: ServerResponse): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const part = blob.subarray(Number(from), Number(to) + 1);
  reply(response, 206, part, { 'content-range': `bytes ${from}-${to}/${blob.length}` });
}

function breakOff(response: ServerResponse): void {
  response.writeHead(206, { 'content-range': 'bytes 0-9/300000', 'content-length': 10 });
  response.write('x', () => response.destroy());
}
