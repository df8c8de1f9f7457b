import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { reply, startFakeServer } from './fake-server.ts';

const CHALLENGE = { 'www-authenticate': 'Basic realm="lab"' };
const HOUR_MS = 3_600_000;

test('an origin is asked how it wants to be asked about once an hour, and what it said counts while it is away', async () => {
  let now = 0;
  let status = 401;
  await using origin = await startFakeServer((_, response) => reply(response, status, '{}', CHALLENGE));
  await using lab = startLab({ url: origin.url, now: () => now });
  const gate = lab.origins.gate('lab');
  await Promise.all(Array.from({ length: 5 }, () => gate.demand(never)));
  now = HOUR_MS - 1;
  expect(await gate.demand(never)).toEqual({ scheme: 'basic' });
  expect(origin.seen).toHaveLength(1);
  status = 503;
  now = HOUR_MS;
  for (let times = 0; times < 3; times += 1) expect(await gate.demand(never)).toEqual({ scheme: 'basic' });
  expect(origin.seen.length).toBeLessThanOrEqual(4);
});

test('an origin that asks nobody is believed when it speaks as a registry, and no longer once it has asked', async () => {
  let now = 0;
  let answer = { status: 200, headers: { 'content-type': 'text/html' } as Record<string, string> };
  await using origin = await startFakeServer((_, response) => reply(response, answer.status, '{}', answer.headers));
  await using lab = startLab({ url: origin.url, now: () => now });
  const gate = lab.origins.gate('lab');
  await expect(gate.demand(never)).rejects.toMatchObject({ code: 'origin_unavailable' });
  answer = { status: 200, headers: { 'docker-distribution-api-version': 'registry/2.0' } };
  expect(await gate.demand(never)).toBeUndefined();
  now += HOUR_MS;
  answer = { status: 401, headers: CHALLENGE };
  expect(await gate.demand(never)).toEqual({ scheme: 'basic' });
  now += 2 * HOUR_MS;
  answer = { status: 200, headers: { 'content-type': 'application/json' } };
  expect(await gate.demand(never)).toEqual({ scheme: 'basic' });
});
