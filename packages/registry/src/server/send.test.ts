import { once } from 'node:events';
import { connect } from 'node:net';
import { type OpenBlob, sha256 } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import { addImage, openBlob, sendRaw, startLab } from './fake-parts.ts';
import { VISIT_LIMITS, type VisitLimits } from './visit.ts';

const LAYER = Buffer.alloc(12 * 1024 * 1024, 'drayage');
const DIGEST = sha256(LAYER);

async function startWithBlob(changes: Partial<OpenBlob>, limits: Partial<VisitLimits> = {}) {
  const lab = await startLab({}, { limits: { ...VISIT_LIMITS, ...limits } });
  addImage(lab.hub, 'library/app', '1', LAYER);
  await (await fetch(`${lab.base}/v2/library/app/manifests/1`)).arrayBuffer();
  lab.scripted.set(DIGEST, () => openBlob(LAYER, 'disk', changes));
  const get = `GET /v2/library/app/blobs/${DIGEST} HTTP/1.1\r\nHost: localhost:${lab.port}\r\n`;
  return { lab, get, url: `${lab.base}/v2/library/app/blobs/${DIGEST}` };
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('a large blob arrives byte for byte, with reused buffers', async () => {
  const { lab, url } = await startWithBlob({});
  await using _ = lab;
  const answers = await Promise.all([fetch(url), fetch(url, { headers: { range: 'bytes=1000001-' } })]);
  const [whole, part] = await Promise.all(answers.map(async (answer) => Buffer.from(await answer.arrayBuffer())));
  expect(whole?.equals(LAYER)).toBe(true);
  expect(part?.equals(LAYER.subarray(1_000_001))).toBe(true);
});

test('many streams at once all arrive whole', async () => {
  const { lab, url } = await startWithBlob({});
  await using _ = lab;
  const digests = await Promise.all(
    Array.from({ length: 40 }, async () => sha256(Buffer.from(await (await fetch(url)).arrayBuffer()))),
  );
  expect(new Set(digests)).toEqual(new Set([DIGEST]));
});

test('a failure in the middle cuts the connection, so the body is short and never complete', async () => {
  const { lab, get } = await startWithBlob({
    read: async (into, offset) => (offset < 2_000_000 ? LAYER.copy(into, 0, offset) : 0),
  });
  await using _ = lab;
  const answer = await sendRaw(lab.port, `${get}\r\n`).catch((error: NodeJS.ErrnoException) => error.code);
  if (typeof answer === 'object') expect(answer.body.length).toBeLessThan(LAYER.length);
  else expect(answer).toBe('ECONNRESET');
  expect(lab.disposed).toEqual([DIGEST]);
});

test('a source that stalls is cut off', async () => {
  const { lab, get } = await startWithBlob(
    { read: async (into, offset, signal) => (offset === 0 ? LAYER.copy(into, 0, 0, 1000) : untilAborted(signal)) },
    { stallMs: 50 },
  );
  await using _ = lab;
  await sendRaw(lab.port, `${get}\r\n`).catch(() => undefined);
  await vi.waitFor(() => expect(lab.happenings.at(-1)).toMatchObject({ kind: 'request', problem: /no bytes came/ }));
});

test('while a blob comes in, a client that may not see it yet is answered and waits', async () => {
  const gate = Promise.withResolvers<void>();
  let heldBytes = 0;
  const grows = setInterval(() => heldBytes++, 1);
  const { lab, url } = await startWithBlob(
    {
      read: async (into, offset) => gate.promise.then(() => LAYER.copy(into, 0, offset)),
      get heldBytes() {
        return heldBytes;
      },
    },
    { stallMs: 80, headersMs: 80, firstByteMs: 2000 },
  );
  await using _ = lab;
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  await new Promise((resolve) => setTimeout(resolve, 200));
  clearInterval(grows);
  gate.resolve();
  expect((await answer.arrayBuffer()).byteLength).toBe(LAYER.length);
});

test('a client that would be sent away is answered when something of the blob is here', async () => {
  const gate = Promise.withResolvers<void>();
  const { lab, url } = await startWithBlob(
    { read: async (into, offset) => gate.promise.then(() => LAYER.copy(into, 0, offset)), heldBytes: 1 },
    { firstByteMs: 50, headersMs: 60_000 },
  );
  await using _ = lab;
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  gate.resolve();
  expect((await answer.arrayBuffer()).byteLength).toBe(LAYER.length);
});

test('without a first byte in time the client is sent to the origin, unless it has nowhere else to go', async () => {
  const gate = Promise.withResolvers<void>();
  const { lab, url } = await startWithBlob(
    { read: async (into, offset) => gate.promise.then(() => LAYER.copy(into, 0, offset)) },
    { firstByteMs: 50, patientFirstByteMs: 60_000 },
  );
  await using _ = lab;
  const patient = fetch(url, { headers: { 'user-agent': 'containers/5.23.1 (github.com/containers/image)' } });
  const answer = await fetch(url);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ errors: [{ code: 'BLOB_UNKNOWN' }] });
  gate.resolve();
  expect((await patient).status).toBe(200);
  expect((await (await patient).arrayBuffer()).byteLength).toBe(LAYER.length);
});

test('a client that takes nothing is cut off', async () => {
  const { lab, get } = await startWithBlob(
    { size: 2 ** 30, read: async (into) => into.length },
    { clientWindowMs: 80 },
  );
  await using _ = lab;
  const socket = connect(lab.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(`${get}\r\n`);
  await vi.waitFor(
    () => expect(lab.happenings.at(-1)).toMatchObject({ kind: 'request', problem: /too slowly/ }),
    5_000,
  );
  socket.destroy();
});

test('a client that goes away ends the reading for it at once', async () => {
  const reading = Promise.withResolvers<AbortSignal>();
  const { lab, get } = await startWithBlob({
    read: (_into, _offset, signal) => {
      reading.resolve(signal);
      return untilAborted(signal);
    },
  });
  await using _ = lab;
  const socket = connect(lab.port, '127.0.0.1');
  socket.write(`${get}\r\n`);
  const signal = await reading.promise;
  socket.destroy();
  if (!signal.aborted) await once(signal, 'abort');
  await vi.waitFor(() => expect(lab.disposed).toEqual([DIGEST]));
  expect(lab.happenings.at(-1)).toMatchObject({ kind: 'request', code: 499 });
});

test('draining refuses newcomers, lets a running answer end, and closes its connection', async () => {
  const gate = Promise.withResolvers<void>();
  const { lab, url } = await startWithBlob({
    read: async (into, offset) => {
      if (offset > 0) await gate.promise;
      return LAYER.copy(into, 0, offset);
    },
  });
  await using _ = lab;
  const running = await fetch(url);
  const drained = lab.endpoint.drain(AbortSignal.timeout(10_000));
  await expect(fetch(url)).rejects.toThrow();
  gate.resolve();
  expect((await running.arrayBuffer()).byteLength).toBe(LAYER.length);
  await drained;
});

test('draining cuts off what is left when its time is over', async () => {
  const { lab, url } = await startWithBlob({
    read: async (into, offset, signal) => (offset === 0 ? LAYER.copy(into, 0, 0, 1000) : untilAborted(signal)),
  });
  await using _ = lab;
  const running = await fetch(url);
  const stop = new AbortController();
  const drained = lab.endpoint.drain(stop.signal);
  stop.abort();
  await drained;
  await expect(running.arrayBuffer()).rejects.toThrow();
  expect(lab.disposed).toEqual([DIGEST]);
});
