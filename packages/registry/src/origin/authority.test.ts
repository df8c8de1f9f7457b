import { writeFile } from 'node:fs/promises';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { type FakeServer, type Handler, reply, startFakeServer } from './fake-server.ts';
import { challengeOf } from './refusal.ts';
import { tempFile } from './temp-file.ts';
import type { Caller } from './types.ts';

const digest = sha256(Buffer.from('blob'));
const ANYONE: Caller = { kind: 'anonymous' };

test('many questions at once share one token, and later ones fetch it first', async () => {
  await using registry = await startTokenRegistry();
  await using lab = startLab({ url: registry.url });
  expect(await lab.repository('a/b', ANYONE).stat(digest, never)).toBe(4);
  await Promise.all(Array.from({ length: 10 }, () => lab.repository('c/d', ANYONE).stat(digest, never)));
  const tokens = registry.seen.filter(({ url }) => url.startsWith('/token'));
  expect(tokens.map(({ url }) => new URL(url, registry.url).searchParams.getAll('scope'))).toEqual([
    ['repository:a/b:pull'],
    ['repository:c/d:pull'],
  ]);
  expect(tokens.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  expect(registry.refusals()).toBe(1);
});

test('a kept token the origin no longer takes is renewed once', async () => {
  await using registry = await startTokenRegistry();
  await using lab = startLab({ url: registry.url });
  await lab.repository('a/b', ANYONE).stat(digest, never);
  registry.revoke();
  expect(await lab.repository('a/b', ANYONE).stat(digest, never)).toBe(4);
  registry.refuseAll();
  await expect(lab.repository('a/b', ANYONE).stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
  expect(registry.seen.filter(({ url }) => url.startsWith('/token'))).toHaveLength(3);
});

test('a token is not used in the last seconds of its life', async () => {
  let now = 0;
  await using registry = await startTokenRegistry();
  await using lab = startLab({ url: registry.url, now: () => now });
  for (now of [0, 49_000, 51_000]) await lab.repository('a/b', ANYONE).stat(digest, never);
  expect(registry.seen.filter(({ url }) => url.startsWith('/token'))).toHaveLength(2);
});

test('the password goes to the token service, the token to the registry, and anonymous callers share neither', async () => {
  await using file = await tempFile('s3cret\n');
  await using registry = await startTokenRegistry();
  const credential = { kind: 'password', username: 'alice', passwordFile: file.path } as const;
  await using lab = startLab({ url: registry.url, credential });
  await lab.repository('a/b').stat(digest, never);
  await lab.repository('a/b', ANYONE).stat(digest, never);
  const tokens = registry.seen.filter(({ url }) => url.startsWith('/token'));
  expect(tokens.map(({ headers }) => headers.authorization)).toEqual([`Basic ${btoa('alice:s3cret')}`, undefined]);
  const shown = registry.seen.filter(({ url }) => url.startsWith('/v2')).map(({ headers }) => headers.authorization);
  expect(shown).toEqual([undefined, 'Bearer t1', 'Bearer t2']);
});

test('an identity token is exchanged by POST, and a changed file is read anew', async () => {
  const config = (token: string) => JSON.stringify({ auths: { lab: { identitytoken: token } } });
  await using file = await tempFile(config('first'));
  const bodies: string[] = [];
  await using registry = await startTokenRegistry((body) => bodies.push(body));
  await using lab = startLab({ url: registry.url, credential: { kind: 'dockerConfig', file: file.path } });
  await lab.repository('a/b').stat(digest, never);
  await writeFile(file.path, config('second'));
  await lab.repository('a/b').stat(digest, never);
  expect(bodies.map((body) => Object.fromEntries(new URLSearchParams(body)))).toMatchObject([
    { grant_type: 'refresh_token', refresh_token: 'first', scope: 'repository:a/b:pull', service: 'lab' },
    { grant_type: 'refresh_token', refresh_token: 'second' },
  ]);
});

test("a Basic challenge is answered with the agent's password, and by nobody else", async () => {
  await using file = await tempFile('s3cret');
  await using registry = await startFakeServer(({ headers }, response) => {
    const isLetIn = headers.authorization === `Basic ${btoa('alice:s3cret')}`;
    reply(response, isLetIn ? 200 : 401, 'blob', isLetIn ? {} : { 'www-authenticate': 'Basic realm="x"' });
  });
  const credential = { kind: 'password', username: 'alice', passwordFile: file.path } as const;
  await using lab = startLab({ url: registry.url, credential });
  expect(await lab.repository().stat(digest, never)).toBe(4);
  expect(await lab.repository().stat(digest, never)).toBe(4);
  expect(registry.seen).toHaveLength(3);
  await expect(lab.repository('a/b', ANYONE).stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
  expect(registry.seen[3]?.headers.authorization).toBeUndefined();
});

test("a client's credential is sent as it is; when it fails, the failure carries the challenge and no token is fetched", async () => {
  await using registry = await startTokenRegistry();
  await using lab = startLab({ url: registry.url });
  const client = { kind: 'client', authorization: 'Bearer theirs', id: 'them' } as const;
  const error = await lab
    .repository('a/b', client)
    .stat(digest, never)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'unauthorized' });
  expect(challengeOf(error)).toBe(
    `Bearer realm="${registry.url}/token",service="lab",scope="repository:a/b:pull",error="invalid_token"`,
  );
  expect(JSON.stringify(error) + String(error)).not.toContain('theirs');
  expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer theirs']);
});

test('403 is a plain no', async () => {
  await using registry = await startFakeServer((_, response) => reply(response, 403, ''));
  await using lab = startLab({ url: registry.url });
  await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'denied' });
});

test.each<[string, Handler, string]>([
  ['refuses', (_, response) => reply(response, 401, ''), 'unauthorized'],
  ['is lost for words', (_, response) => reply(response, 200, '{}'), 'origin_unavailable'],
  [
    'sends a header in disguise',
    (_, response) => reply(response, 200, '{"token":"a\\r\\nx: y"}'),
    'origin_unavailable',
  ],
  ['never stops talking', (_, response) => reply(response, 200, Buffer.alloc(70_000, 'x')), 'origin_unavailable'],
])('a token service that %s gives no access', async (_, token, code) => {
  await using registry = await startFakeServer((request, response, body) => {
    if (request.url.startsWith('/token')) return token(request, response, body);
    const realm = `http://${request.headers.host}/token`;
    reply(response, 401, '', { 'www-authenticate': `Bearer realm="${realm}"` });
  });
  await using lab = startLab({ url: registry.url });
  await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code });
});

interface TokenRegistry extends FakeServer {
  revoke(): void;
  refuseAll(): void;
  refusals(): number;
}

/** A registry with its own token service: t1, t2, … of which only those given since the last revocation are taken. */
async function startTokenRegistry(post: (body: string) => void = () => {}): Promise<TokenRegistry> {
  let given = 0;
  let takenFrom = 1;
  let refusals = 0;
  const server = await startFakeServer((request, response, body) => {
    if (request.url.startsWith('/token')) {
      if (request.method === 'POST') post(body);
      given += 1;
      return reply(response, 200, JSON.stringify({ token: `t${given}` }));
    }
    const shown = Number(/^Bearer t(\d+)$/.exec(request.headers.authorization ?? '')?.[1] ?? 0);
    if (shown >= takenFrom) return reply(response, 200, 'blob');
    refusals += 1;
    const scope = `repository:${request.url.split('/').slice(2, 4).join('/')}:pull`;
    const challenge = `Bearer realm="http://${request.headers.host}/token",service="lab",scope="${scope}",error="invalid_token"`;
    reply(response, 401, '', { 'www-authenticate': challenge });
  });
  return {
    ...server,
    revoke() {
      takenFrom = given + 1;
    },
    refuseAll() {
      takenFrom = Number.POSITIVE_INFINITY;
    },
    refusals: () => refusals,
  };
}
