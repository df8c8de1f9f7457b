import { Failure, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { type Handler, reply, startFakeServer } from './fake-server.ts';

const digest = sha256(Buffer.from('blob'));

test('a failure that passes is not noticed', async () => {
  let asked = 0;
  await using registry = await startFakeServer((_, response) => {
    asked += 1;
    if (asked === 1) response.destroy();
    else reply(response, asked === 2 ? 503 : 200, 'blob', { 'retry-after': '0' });
  });
  await using lab = startLab({ url: registry.url });
  expect(await lab.repository().stat(digest, never)).toBe(4);
  const codes = lab.happenings.flatMap((one) => (one.kind === 'origin_request' ? one.code : []));
  expect(codes).toEqual(['failed', 503, 200]);
});

test.each<[string, Handler, RegExp, number]>([
  ['fails for good', (_, response) => reply(response, 500, ''), /answered 500/, 3],
  ['limits the rate', (_, response) => reply(response, 429, ''), /rate/, 3],
  ['asks to wait for long', (_, response) => reply(response, 429, '', { 'retry-after': '60' }), /wait 60 s/, 1],
  ['says no in an odd way', (_, response) => reply(response, 418, ''), /418/, 1],
])('an origin that %s is given up after %4$s requests', async (_, handler, words, requests) => {
  await using registry = await startFakeServer(handler);
  await using lab = startLab({ url: registry.url });
  const error = await lab
    .repository()
    .stat(digest, never)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'origin_unavailable', message: expect.stringMatching(words) });
  expect(registry.seen).toHaveLength(requests);
});

test("a deadline of the caller ends a question as the origin's fault", async () => {
  await using registry = await startFakeServer(() => {});
  await using lab = startLab({ url: registry.url });
  const question = lab.repository().headManifest('latest', AbortSignal.timeout(50));
  await expect(question).rejects.toMatchObject({
    code: 'origin_unavailable',
    message: expect.stringMatching(/in time/),
  });
});

test('an origin that keeps failing is left alone, for longer each time, until one question succeeds', async () => {
  let now = 0;
  let status = 503;
  await using registry = await startFakeServer((_, response) =>
    reply(response, status, 'blob', { 'retry-after': '9' }),
  );
  await using lab = startLab({ url: registry.url, now: () => now });
  const ask = () =>
    lab
      .repository()
      .stat(digest, never)
      .catch(() => 'failed');
  const state = () => lab.origins.status()[0]?.breaker;

  for (let count = 0; count < 7; count += 1) await ask();
  expect(registry.seen).toHaveLength(5);
  expect(state()).toBe('open');

  now = 5_001;
  await Promise.all([ask(), ask(), ask()]);
  expect(registry.seen).toHaveLength(6);

  now = 14_000;
  await ask();
  expect(registry.seen).toHaveLength(6);

  now = 15_100;
  status = 200;
  expect(await ask()).toBe(4);
  expect(state()).toBe('closed');
  const states = lab.happenings.flatMap((one) => (one.kind === 'breaker' ? one.state : []));
  expect(states).toEqual(['open', 'half-open', 'open', 'half-open', 'closed']);
});

test('a refusal is no failure, and a question given up lets the next one probe', async () => {
  let now = 0;
  let status = 404;
  const stop = new AbortController();
  await using registry = await startFakeServer((_, response) => {
    if (status > 0) reply(response, status, '', { 'retry-after': '9' });
    else stop.abort();
  });
  await using lab = startLab({ url: registry.url, now: () => now });
  const ask = (signal = never) =>
    lab
      .repository()
      .stat(digest, signal)
      .catch(() => 'failed');
  for (let count = 0; count < 6; count += 1) expect(await ask()).toBeUndefined();
  status = 500;
  for (let count = 0; count < 5; count += 1) await ask();
  now = 6_000;
  status = 0;
  await ask(stop.signal);
  status = 404;
  expect(await ask()).toBeUndefined();
});

test('an origin that says nothing is left alone once five questions have waited in vain', async () => {
  await using registry = await startFakeServer(() => {});
  await using lab = startLab({ url: registry.url });
  const ask = (reason: Error) => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(reason), 20);
    return lab
      .repository()
      .stat(digest, stop.signal)
      .catch(() => 'failed');
  };
  for (let count = 0; count < 6; count += 1) await ask(new Failure('blob_unavailable', 'the client is gone'));
  expect(lab.origins.status()[0]?.breaker).toBe('closed');
  for (let count = 0; count < 5; count += 1) await ask(new Failure('origin_unavailable', 'no answer within 4 s'));
  expect(lab.origins.status()[0]?.breaker).toBe('open');
});

test('a closed port is unreachable, and says so', async () => {
  const registry = await startFakeServer(() => {});
  await registry[Symbol.asyncDispose]();
  await using lab = startLab({ url: registry.url });
  const question = lab.repository().stat(digest, never);
  await expect(question).rejects.toMatchObject({ code: 'origin_unavailable', message: 'lab cannot be reached' });
});
