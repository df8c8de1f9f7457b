import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { findMembers, parseJoinTarget, type Resolver } from './join.ts';

const never: AbortSignal = new AbortController().signal;
const nobody: Resolver = { addresses: async () => [], services: async () => [] };

test.each([
  ['10.0.0.7', { kind: 'host', at: { host: '10.0.0.7', port: 5052 } }],
  ['node-1.example:6000', { kind: 'host', at: { host: 'node-1.example', port: 6000 } }],
  ['[fd00::7]:6000', { kind: 'host', at: { host: 'fd00::7', port: 6000 } }],
  ['dns:drayage.default.svc', { kind: 'dns', at: { host: 'drayage.default.svc', port: 5052 } }],
  ['mdns', { kind: 'mdns' }],
])('%s is a way to find members', (text, target) => {
  expect(parseJoinTarget(text)).toEqual(target);
});

test.each(['', ':5052', 'host:99999', 'host:port', 'ho st', 'a/b', 'https://user@x.example/', 'fd00::7', '-x'])(
  '"%s" is none',
  (text) => {
    expect(() => parseJoinTarget(text)).toThrow(/not /);
  },
);

test('a name stands for every address it has, and its SRV records say ports', async () => {
  const target = parseJoinTarget('dns:members.example:6000');
  const plain: Resolver = { ...nobody, addresses: async () => ['10.0.0.1', 'fd00::1'] };
  expect(await findMembers(target, plain, never)).toEqual([
    { host: '10.0.0.1', port: 6000 },
    { host: 'fd00::1', port: 6000 },
  ]);
  const service: Resolver = { ...plain, services: async () => [{ host: 'one.example', port: 7000 }] };
  expect(await findMembers(target, service, never)).toEqual([{ host: 'one.example', port: 7000 }]);
  await expect(findMembers(target, nobody, never)).rejects.toThrow('no member is found by the name members.example');
});

test.each([
  ['lines', '10.0.0.1\n10.0.0.2:6000\n\nnot a host!\n'],
  ['a JSON list', '["10.0.0.1", "10.0.0.2:6000", 7, "not a host!"]'],
])('a URL may answer with %s', async (_, body) => {
  await using server = await serve((_path) => ({ status: 200, body }));
  expect(await findMembers(parseJoinTarget(server.url), nobody, never)).toEqual([
    { host: '10.0.0.1', port: 5052 },
    { host: '10.0.0.2', port: 6000 },
  ]);
});

test.each([
  ['fails', 500, '', 'it answered 500'],
  ['names nobody', 200, 'hello!', 'there is no HOST'],
  ['is endless', 200, 'x '.repeat(100_000), 'cannot be read'],
  ['is broken JSON', 200, '[', 'cannot be read'],
])('a URL whose answer %s is told', async (_, status, body, words) => {
  await using server = await serve(() => ({ status, body }));
  await expect(findMembers(parseJoinTarget(server.url), nobody, never)).rejects.toThrow(words);
});

async function serve(answer: (path: string) => { status: number; body: string }) {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? '');
    response.writeHead(status).end(body);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/members`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

test('a name server that keeps silent on services does not keep a name from being found', async () => {
  const silent: Resolver = { addresses: async () => ['10.0.0.1'], services: () => new Promise(() => {}) };
  expect(await findMembers(parseJoinTarget('dns:agents'), silent, never)).toEqual([{ host: '10.0.0.1', port: 5052 }]);
});
