import type { ServerResponse } from 'node:http';
import { isIP, type LookupFunction } from 'node:net';
import { sha256 } from '@drayage/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Lab, never, startLab } from './fake-lab.ts';
import { CERTIFICATE, type FakeServer, reply, type Seen, startFakeServer } from './fake-server.ts';
import { MANIFEST_TYPES } from './manifest.ts';
import { tempFile } from './temp-file.ts';

/** Every door through which a credential once left some client for the wrong place. A canary stands behind each. */
const SECRET = 's3cret';
const digest = sha256(Buffer.from('blob'));
let canary: FakeServer;

beforeEach(async () => {
  canary = await startFakeServer(({ url }, response) => {
    const challenge = { 'www-authenticate': 'Basic realm="canary"' };
    if (url.startsWith('/token')) reply(response, 200, '{"token":"stolen"}');
    else reply(response, 401, '', challenge);
  });
});

afterEach(() => canary[Symbol.asyncDispose]());

describe('a credential stays home when a challenge names', () => {
  test.each<[string, (port: number) => readonly string[]]>([
    ['another host', (port) => [bearer(`http://localhost:${port}/token`)]],
    ['another host in a second header', (port) => ['Bearer realm="', bearer(`http://localhost:${port}/token`)]],
    ['another host behind a user name', (port) => [bearer(`http://127.0.0.1@localhost:${port}/token`)]],
    ['its own host with a user name', (port) => [bearer(`http://x:y@127.0.0.1:${port}/token`)]],
    [
      'another host after a realm of its own',
      (port) => [bearer(`http://127.0.0.1:1/token",realm="http://localhost:${port}/`)],
    ],
    ['something else than the web', (port) => [bearer(`ftp://127.0.0.1:${port}/token`)]],
  ])('%s', async (_, challenges) => {
    await using origin = await startFakeServer((_request, response) => {
      reply(response, 401, '', { 'www-authenticate': challenges(canary.port) });
    });
    await using lab = await withSecret(origin.url);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(canary.seen).toEqual([]);
  });

  test('plain http, while the origin speaks https', async () => {
    await using origin = await startFakeServer((_request, response) => {
      reply(response, 401, '', { 'www-authenticate': bearer(`${canary.url}/token`) });
    }, 'https');
    await using lab = await withSecret(origin.url);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(canary.seen).toEqual([]);
  });

  test('this host, while the origin is elsewhere', async () => {
    await using origin = await startFakeServer((_request, response) => {
      reply(response, 401, '', { 'www-authenticate': bearer(`${canary.url}/token`) });
    });
    await using lab = await withSecret(`http://registry.test:${origin.port}`, elsewhere());
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(canary.seen).toEqual([]);
  });
});

describe('a redirect', () => {
  test('to another port carries no credential, and a challenge there is a plain no', async () => {
    await using origin = await startAsking((response) => redirect(response, `${canary.url}/blob`));
    await using lab = await withSecret(origin.url);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'denied' });
    expect(canary.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(origin.seen.some(({ headers }) => headers.authorization?.startsWith('Basic '))).toBe(true);
  });

  test('to a host that asks for a password makes nobody be shown one', async () => {
    await using origin = await startFakeServer((_, response) => redirect(response, `${canary.url}/blob`));
    await using lab = await withSecret(origin.url);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'denied' });
    const shown = [...origin.seen, ...canary.seen].map(({ headers }) => headers.authorization);
    expect(shown).toEqual([undefined, undefined]);
  });

  test('within the origin keeps the credential; one that comes back from elsewhere has lost it', async () => {
    await using away = await startFakeServer((_, response) => redirect(response, `${origin.url}/v2/back`));
    await using origin = await startAsking((response, { url }) => {
      if (url === '/v2/inside') redirect(response, `${away.url}/`);
      else redirect(response, '/v2/inside');
    });
    await using lab = await withSecret(origin.url);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'unauthorized' });
    const shown = (path: string) => origin.seen.findLast(({ url }) => url === path)?.headers.authorization;
    expect(shown('/v2/inside')).toBe(`Basic ${btoa(`alice:${SECRET}`)}`);
    expect(shown('/v2/back')).toBeUndefined();
    expect(away.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test.each<[string, (port: number) => string, RegExp]>([
    ['to an address with a user name', (port) => `https://x:y@127.0.0.1:${port}/`, /user name/],
    ['from https to http', (port) => `http://127.0.0.1:${port}/`, /plain http/],
    ['to something else than the web', () => 'file:///etc/passwd', /no usable address/],
    ['without end', () => '/v2/again', /more than 5 times/],
    ['to a metadata service', () => 'https://169.254.169.254/latest', /no place/],
    ['to a metadata service in disguise', () => 'https://[::ffff:a9fe:a9fe]/latest', /no place/],
  ])('%s is not followed', async (_, location, words) => {
    await using origin = await startFakeServer(
      (_request, response) => redirect(response, location(canary.port)),
      'https',
    );
    await using lab = await withSecret(origin.url);
    const message = expect.stringMatching(words);
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'origin_unavailable', message });
    expect(canary.seen).toEqual([]);
    expect(origin.seen.length).toBeLessThanOrEqual(6);
  });

  test.each([
    ['this host by number', '127.0.0.1'],
    ['this host by an odd number', '0x7f.1'],
    ['this host by an IPv6 number', '[::ffff:127.0.0.1]'],
    ['a name that turns out to be this host', 'rebinding.test'],
    ['a name that turns out to be a metadata service', 'metadata.test'],
  ])('of an origin elsewhere to %s is not followed', async (_, host) => {
    await using origin = await startFakeServer((_request, response) =>
      redirect(response, `http://${host}:${canary.port}/`),
    );
    await using lab = await withSecret(`http://registry.test:${origin.port}`, elsewhere());
    await expect(lab.repository().stat(digest, never)).rejects.toMatchObject({ code: 'origin_unavailable' });
    expect(canary.seen).toEqual([]);
    expect(origin.seen).toHaveLength(1);
  });
});

test('addresses inside a manifest are never asked for anything', async () => {
  const layer = { mediaType: 'x/y', digest, size: 4, urls: [`${canary.url}/layer`] };
  const [, mediaType = ''] = MANIFEST_TYPES;
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config: { ...layer }, layers: [layer] });
  await using origin = await startAsking((response, { url }) => {
    reply(response, 200, url.includes('manifests') ? manifest : 'blob', { 'content-type': mediaType });
  });
  await using lab = await withSecret(origin.url);
  await lab.repository().getManifest('latest', undefined, never);
  await lab.repository().stat(digest, never);
  expect(canary.seen).toEqual([]);
});

test.each([
  [
    'to another host',
    (port: number) => `<http://127.0.0.1:${port}/v2/team/app/tags/list?last=b>; rel="next"`,
    undefined,
  ],
  ['to another repository', () => '</v2/team/other/tags/list?last=b>; rel="next"', undefined],
  [
    'to the next page',
    () => '</v2/team/app/tags/list?last=b>; rel="next"',
    '</v2/team/app/tags/list?last=b>; rel="next"',
  ],
])('a link %s in a list of tags is passed on only when it stays there', async (_, link, expected) => {
  await using origin = await startFakeServer((_request, response) => {
    reply(response, 200, '{"tags":["a"]}', { 'content-type': 'application/json', link: link(canary.port) });
  });
  await using lab = await withSecret(origin.url);
  const answer = await lab.repository().listTags('n=1&ns=docker.io&last=a', never);
  expect(answer).toMatchObject({ status: 200, contentType: 'application/json', link: expected });
  expect(origin.seen[0]?.url).toBe('/v2/team/app/tags/list?n=1&last=a');
});

test('a token service elsewhere gives what everyone gets, and sees no credential', async () => {
  await using tokens = await startFakeServer((_, response) => reply(response, 200, '{"token":"public"}'), 'https');
  const realm = `https://localhost:${tokens.port}/token`;
  await using origin = await startFakeServer(({ headers }, response) => {
    const isLetIn = headers.authorization === 'Bearer public';
    reply(response, isLetIn ? 200 : 401, 'blob', isLetIn ? {} : { 'www-authenticate': bearer(realm) });
  });
  await using lab = await withSecret(origin.url);
  await expect(lab.repository().stat(digest, never)).rejects.toThrow('list it under `realms`');
  expect(tokens.seen).toEqual([]);
  expect(await lab.repository('team/app', { kind: 'anonymous' }).stat(digest, never)).toBe(4);
  expect(tokens.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
});

describe("a user's password, and what the user is told, stay home when a challenge names", () => {
  const user = { kind: 'password', username: 'alice', password: SECRET } as const;

  test.each<[string, 'http' | 'https', (port: number) => readonly string[]]>([
    ['another host', 'http', (port) => [bearer(`http://localhost:${port}/token`)]],
    ['another host by https', 'http', (port) => [bearer(`https://localhost:${port}/token`)]],
    ['another host in a second header', 'http', (port) => ['Bearer realm="', bearer(`http://localhost:${port}/token`)]],
    ['another host behind a user name', 'http', (port) => [bearer(`http://127.0.0.1@localhost:${port}/token`)]],
    ['plain http, while the origin speaks https', 'https', (port) => [bearer(`http://127.0.0.1:${port}/token`)]],
  ])('%s', async (_, scheme, challenges) => {
    await using origin = await startFakeServer((_request, response) => {
      reply(response, 401, '', { 'www-authenticate': challenges(canary.port) });
    }, scheme);
    await using lab = await withSecret(origin.url);
    const gate = lab.origins.gate('lab');
    await expect(gate.demand(never)).rejects.toMatchObject({ code: 'denied' });
    await expect(gate.login(user, [], never)).rejects.toMatchObject({ code: 'denied' });
    expect(canary.seen).toEqual([]);
  });

  test('its own host, whose token service or registry then sends everyone elsewhere', async () => {
    for (const challenge of [(url: string) => bearer(`${url}/token`), () => 'Basic realm="lab"']) {
      await using origin = await startFakeServer(({ url, headers }, response) => {
        if (url.startsWith('/token') || headers.authorization) redirect(response, `${canary.url}/token`);
        else reply(response, 401, '', { 'www-authenticate': challenge(`http://${headers.host}`) });
      });
      await using lab = await withSecret(origin.url);
      await expect(lab.origins.gate('lab').login(user, [], never)).rejects.toMatchObject({
        code: 'origin_unavailable',
      });
      expect(canary.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    }
  });

  test("its own host first and another after the client's credential was refused", async () => {
    await using origin = await startFakeServer(({ headers }, response) => {
      const host = headers.authorization ? `localhost:${canary.port}` : headers.host;
      reply(response, 401, '', { 'www-authenticate': bearer(`http://${host}/token`) });
    });
    await using lab = await withSecret(origin.url);
    const client = { kind: 'client', authorization: `Bearer ${SECRET}`, id: 'c' } as const;
    await expect(lab.repository('team/app', client).stat(digest, never)).rejects.toMatchObject({
      code: 'unauthorized',
    });
    expect(canary.seen).toEqual([]);
    expect(origin.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${SECRET}`]);
  });
});

const bearer = (realm: string) => `Bearer realm="${realm}",service="lab"`;

function redirect(response: ServerResponse, location: string): void {
  reply(response, 307, '', { location });
}

/** An origin that wants the password first. */
function startAsking(answer: (response: ServerResponse, request: Seen) => void): Promise<FakeServer> {
  return startFakeServer((request, response) => {
    if (request.headers.authorization) answer(response, request);
    else reply(response, 401, '', { 'www-authenticate': 'Basic realm="lab"' });
  });
}

/** An origin whose name leads to this host once, for the test's sake, and to a public address whenever it is asked again. */
function elsewhere(): LookupFunction {
  let asked = 0;
  const addresses: Readonly<Record<string, string>> = {
    'rebinding.test': '127.0.0.1',
    'metadata.test': '169.254.169.254',
  };
  return (host, _options, callback) => {
    if (host === 'registry.test') asked += 1;
    const address = host === 'registry.test' && asked === 1 ? '127.0.0.1' : (addresses[host] ?? '203.0.113.7');
    callback(null, [{ address, family: isIP(address) }]);
  };
}

/** The client, with a password that must not get lost. */
async function withSecret(url: string, lookup?: LookupFunction): Promise<Lab> {
  const password = await tempFile(SECRET);
  const authorities = await tempFile(CERTIFICATE);
  const credential = { kind: 'password', username: 'alice', passwordFile: password.path } as const;
  const lab = startLab({ url, credential, caFile: authorities.path, ...(lookup && { lookup }) });
  return {
    ...lab,
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      await password[Symbol.asyncDispose]();
      await authorities[Symbol.asyncDispose]();
    },
  };
}
