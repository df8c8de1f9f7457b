import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type Lab, never, startLab } from './fake-lab.ts';
import { CERTIFICATE, reply, startFakeServer } from './fake-server.ts';
import { tempFile } from './temp-file.ts';

const BLOB = randomBytes(3 * 1024 * 1024 + 17);
const DIGEST = sha256(BLOB);

/** What came, hashed as it came, since a chunk is good until the next is asked for. */
async function read(lab: Lab, start = 0, end = BLOB.length): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of lab.repository().read(DIGEST, { start, end }, never)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, hash: hash.digest('hex') };
}

const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** A server that answers every connection with these bytes, whatever it is asked. */
async function startRawServer(answer: (socket: Socket) => void): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => answer(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await new Promise((done) => server.close(done));
    },
  };
}

test.each(['http', 'https'] as const)('a large blob comes byte for byte over %s', async (scheme) => {
  await using origin = await startFakeServer((_, response) => reply(response, 200, BLOB), scheme);
  await using authorities = await tempFile(CERTIFICATE);
  await using lab = startLab({ url: origin.url, caFile: authorities.path });
  expect(await read(lab)).toEqual({ bytes: BLOB.length, hash: hashOf(BLOB) });
});

test.each(['http', 'https'] as const)('a slow reader gets every byte in order over %s', async (scheme) => {
  await using origin = await startFakeServer((_, response) => reply(response, 200, BLOB), scheme);
  await using authorities = await tempFile(CERTIFICATE);
  await using lab = startLab({ url: origin.url, caFile: authorities.path });
  const hash = createHash('sha256');
  for await (const chunk of lab.repository().read(DIGEST, { start: 0, end: BLOB.length }, never)) {
    // Whatever comes meanwhile must not be written over what is being read.
    await setTimeout(1);
    hash.update(chunk);
  }
  expect(hash.digest('hex')).toBe(hashOf(BLOB));
});

test.each(['http', 'https'] as const)(
  'one read after the other over %s comes through the same memory',
  async (scheme) => {
    await using origin = await startFakeServer((_, response) => reply(response, 200, BLOB), scheme);
    await using authorities = await tempFile(CERTIFICATE);
    await using lab = startLab({ url: origin.url, caFile: authorities.path });
    const memory = new Set<ArrayBufferLike>();
    const readOn = async () => {
      for await (const { buffer } of lab.repository().read(DIGEST, { start: 0, end: BLOB.length }, never))
        memory.add(buffer);
    };
    await readOn();
    const first = memory.size;
    for (let more = 0; more < 8; more++) await readOn();
    expect(memory.size).toBeLessThanOrEqual(first + 2);
  },
);

test('the memory of a read that was called off is left alone', async () => {
  let answer = BLOB;
  await using origin = await startFakeServer((_, response) => reply(response, 200, answer));
  await using lab = startLab({ url: origin.url });
  const stop = new AbortController();
  let left = BLOB.length;
  let last: Uint8Array = BLOB;
  for await (const chunk of lab.repository().read(DIGEST, { start: 0, end: BLOB.length }, stop.signal)) {
    last = chunk;
    left -= chunk.length;
    if (left > 0) continue;
    stop.abort();
    break;
  }
  const before = Buffer.from(last);
  answer = Buffer.alloc(BLOB.length);
  await read(lab);
  expect(Buffer.from(last).equals(before)).toBe(true);
});

test('a large range is asked for and comes as such', async () => {
  const start = 1_000_000;
  const headers = { 'content-range': `bytes ${start}-${BLOB.length - 1}/${BLOB.length}` };
  await using origin = await startFakeServer((_, response) => reply(response, 206, BLOB.subarray(start), headers));
  await using lab = startLab({ url: origin.url });
  expect(await read(lab, start)).toEqual({ bytes: BLOB.length - start, hash: hashOf(BLOB.subarray(start)) });
  expect(origin.seen[0]?.headers.range).toBe(`bytes=${start}-${BLOB.length - 1}`);
});

test('a body of unknown length is read all the same', async () => {
  await using origin = await startFakeServer((_, response) => {
    response.writeHead(200);
    response.write(BLOB.subarray(0, 100));
    response.end(BLOB.subarray(100));
  });
  await using lab = startLab({ url: origin.url });
  expect(await read(lab)).toEqual({ bytes: BLOB.length, hash: hashOf(BLOB) });
});

test('a redirect and a challenge are followed as for any other question', async () => {
  await using store = await startFakeServer((_, response) => reply(response, 200, BLOB));
  await using origin = await startFakeServer(({ url, headers }, response) => {
    if (url.startsWith('/token')) reply(response, 200, '{"token":"t"}');
    else if (headers.authorization === 'Bearer t') reply(response, 307, '', { location: `${store.url}/blob` });
    else reply(response, 401, '', { 'www-authenticate': `Bearer realm="http://${headers.host}/token",service="lab"` });
  });
  await using lab = startLab({ url: origin.url });
  expect((await read(lab)).bytes).toBe(BLOB.length);
  expect(store.seen[0]?.headers.authorization).toBeUndefined();
});

test('many blobs in a row leave no connection behind', async () => {
  await using origin = await startFakeServer((_, response) => reply(response, 200, BLOB));
  await using lab = startLab({ url: origin.url });
  for (let count = 0; count < 80; count++) {
    for await (const _ of lab.repository().read(DIGEST, { start: 0, end: BLOB.length }, never)) break;
  }
  expect((await read(lab)).bytes).toBe(BLOB.length);
});

test.each<[string, (socket: Socket) => void, RegExp]>([
  [
    'ends too early',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 3145745\r\n\r\nshort'),
    /too early|broke off/,
  ],
  [
    'breaks off',
    (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 3145745\r\n\r\nx', () => socket.resetAndDestroy()),
    /broke off|too early/,
  ],
  ['is no HTTP', (socket) => socket.end('SSH-2.0-OpenSSH_9.2p1\r\n\r\n'), /no way that is understood/],
  ['has a malformed header', (socket) => socket.end('HTTP/1.1 200 OK\r\n : x\r\n\r\n'), /malformed header/],
  [
    'is headers without end',
    (socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(200_000)}`),
    /headers without end/,
  ],
  ['is nothing', (socket) => socket.end(), /cannot be reached/],
])('an answer that %s is a failure of the origin', async (_, answer, words) => {
  await using origin = await startRawServer(answer);
  await using lab = startLab({ url: origin.url });
  await expect(read(lab)).rejects.toMatchObject({ code: 'origin_unavailable', message: expect.stringMatching(words) });
});

test('whoever stops reading closes the connection', async () => {
  const closed = Promise.withResolvers<void>();
  await using origin = await startRawServer((socket) => {
    socket.once('close', () => closed.resolve());
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${BLOB.length}\r\n\r\n`);
    socket.write(BLOB.subarray(0, 1_000_000));
  });
  await using lab = startLab({ url: origin.url });
  const stop = new AbortController();
  const chunks = lab.repository().read(DIGEST, { start: 0, end: BLOB.length }, stop.signal)[Symbol.asyncIterator]();
  await chunks.next();
  stop.abort(new Error('enough'));
  await expect(
    (async () => {
      while (!(await chunks.next()).done);
    })(),
  ).rejects.toThrow('enough');
  await closed.promise;
});
