import { Failure, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { reply, startFakeServer } from './fake-server.ts';

const DIGEST = sha256(Buffer.from('layer'));

async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

test('an upload goes on where the origin says, with what it says of it', async () => {
  await using server = await startFakeServer(({ method, url }, response, body) => {
    if (method === 'POST') reply(response, 202, '', { location: `${url}abc?_state=x%3D%3D`, range: '0-0' });
    else reply(response, 202, '', { location: '/elsewhere?_state=y', range: `0-${body.length - 1}`, 'x-secret': '1' });
  });
  await using lab = startLab(server);
  const repository = lab.repository();
  const begun = await repository.push({ method: 'POST', to: 'blobs/uploads/' }, never);
  expect(begun.next?.href).toBe(`${server.url}/v2/team/app/blobs/uploads/abc?_state=x%3D%3D`);
  const to = begun.next as URL;
  const sent = await repository.push({ method: 'PATCH', to, body: chunks('one', 'two') }, never);
  expect(sent).toEqual({
    status: 202,
    next: new URL('/elsewhere?_state=y', server.url),
    range: '0-5',
    digest: undefined,
    subject: undefined,
    chunkBytesMin: undefined,
    retryAfter: undefined,
    errors: [],
  });
});

test('a push asks for the right to push, and for that to read what it mounts', async () => {
  await using server = await startFakeServer(({ url, headers }, response) => {
    if (url.startsWith('/token')) return reply(response, 200, JSON.stringify({ token: 't' }));
    if (headers.authorization === 'Bearer t') return reply(response, 201, '', { 'docker-content-digest': DIGEST });
    const challenge = `Bearer realm="http://${headers.host}/token",service="s",scope="repository:team/app:pull,push repository:any/other:push"`;
    return reply(response, 401, '', { 'www-authenticate': challenge });
  });
  await using lab = startLab(server);
  const to = `blobs/uploads/?mount=${DIGEST}&from=base/os`;
  const pushed = await lab.repository().push({ method: 'POST', to, from: 'base/os' }, never);
  expect([pushed.status, pushed.digest]).toEqual([201, DIGEST]);
  const asked = server.seen.find(({ url }) => url.startsWith('/token'))?.url ?? '';
  expect(new URL(asked, server.url).searchParams.getAll('scope')).toEqual([
    'repository:team/app:pull,push',
    'repository:base/os:pull',
  ]);
});

test('a body on its way is not sent a second time: not for a credential, a redirect or a failure', async () => {
  const answers = [
    [401, { 'www-authenticate': 'Basic realm="x"' }],
    [307, { location: '/other' }],
    [503, {}],
  ] as const;
  for (const [status, headers] of answers) {
    await using server = await startFakeServer((_, response) => reply(response, status, '', headers));
    await using lab = startLab(server);
    const pushing = lab.repository().push({ method: 'PATCH', to: new URL('/u', server.url), body: chunks('x') }, never);
    if (status === 401) await expect(pushing).rejects.toMatchObject({ code: 'unauthorized' });
    else if (status === 307) await expect(pushing).rejects.toMatchObject({ code: 'origin_unavailable' });
    else expect((await pushing).status).toBe(503);
    expect(server.seen).toHaveLength(1);
  }
});

test.each([
  ['with a user name in it', 'http://user:secret@HOST/upload'],
  ['of another scheme', 'ftp://HOST/upload'],
  ['that is none', 'http://['],
])('a location %s ends the upload', async (_what, location) => {
  await using server = await startFakeServer(({ headers }, response) =>
    reply(response, 202, '', { location: location.replace('HOST', headers.host ?? '') }),
  );
  await using lab = startLab(server);
  const pushing = lab.repository().push({ method: 'POST', to: 'blobs/uploads/' }, never);
  await expect(pushing).rejects.toMatchObject({ code: 'origin_unavailable' });
});

test('another host that takes the upload is shown no credential, and cannot lead back to the origin', async () => {
  await using storage = await startFakeServer(({ url }, response) => {
    if (url === '/demand') reply(response, 401, '', { 'www-authenticate': 'Basic realm="x"' });
    else reply(response, 202, '', { location: `${origin.url}/v2/team/other/manifests/latest` });
  });
  await using origin = await startFakeServer(({ headers }, response) => {
    if (headers.authorization === undefined) reply(response, 401, '', { 'www-authenticate': 'Basic realm="x"' });
    else reply(response, 202, '', { location: `${storage.url}/upload` });
  });
  await using lab = startLab(origin);
  const caller = { kind: 'client', authorization: 'Basic c2VjcmV0', id: 'them' } as const;
  const repository = lab.repository('team/app', caller);
  const { next } = await repository.push({ method: 'POST', to: 'blobs/uploads/' }, never);
  const to = next as URL;
  await expect(repository.push({ method: 'PATCH', to, body: chunks('x') }, never)).rejects.toThrow('moves an upload');
  const demand = new URL('/demand', storage.url);
  await expect(repository.push({ method: 'PUT', to: demand }, never)).rejects.toMatchObject({ code: 'denied' });
  expect(storage.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  expect(origin.seen).toHaveLength(1);
});

test('what an origin has against a push is passed on in the words of the specification only', async () => {
  const errors = [
    { code: 'DIGEST_INVALID', message: 'is\r\nnot', detail: { path: '/var/secret' } },
    { code: 'MY_OWN', message: 'x' },
    'nothing',
    { code: 'DENIED', message: 'm'.repeat(2000) },
  ];
  await using server = await startFakeServer((_, response) => reply(response, 400, JSON.stringify({ errors })));
  await using lab = startLab(server);
  const pushed = await lab.repository().push({ method: 'PUT', to: 'manifests/1', body: Buffer.from('{}') }, never);
  expect(pushed.errors).toEqual([
    { code: 'DIGEST_INVALID', message: 'is??not' },
    { code: 'DENIED', message: 'm'.repeat(512) },
  ]);
});

test('an origin that cannot take pushes is asked by those who pull all the same', async () => {
  await using server = await startFakeServer((_, response) => reply(response, 503, ''));
  await using lab = startLab(server);
  for (let time = 0; time < 6; time++) {
    expect((await lab.repository().push({ method: 'POST', to: 'blobs/uploads/' }, never)).status).toBe(503);
  }
  expect(lab.origins.status()[0]?.breaker).toBe('closed');
});

test('a source that fails ends the push at the origin, and is not held against the origin', async () => {
  await using server = await startFakeServer((_, response) => reply(response, 202, ''));
  await using lab = startLab(server);
  const repository = lab.repository();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('some');
    throw new Failure('blob_unavailable', 'the client went away');
  }
  for (let time = 0; time < 6; time++) {
    const to = new URL('/u', server.url);
    await expect(repository.push({ method: 'PATCH', to, body: broken() }, never)).rejects.toThrow('went away');
  }
  expect(lab.origins.status()[0]?.breaker).toBe('closed');
  expect(server.seen).toHaveLength(0);
});
