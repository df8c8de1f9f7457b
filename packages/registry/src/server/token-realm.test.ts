import { expect, test } from 'vitest';
import { type RawAnswer, sendRaw } from './fake-parts.ts';
import { type PrivateScene, startPrivateScene } from './fake-scene.ts';

const MINUTE_MS = 60_000;
const PODMAN = 'containers/5.23.1 (github.com/containers/image)';
const SCOPE = 'repository:private.test/team/app:pull';

/** Asks as podman does: the origin in the path, a challenge looked for at /v2/. */
async function ask(
  { lab }: PrivateScene,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${lab.base}${path}`, { headers: { 'user-agent': PODMAN, ...headers } });
}

async function tokenOf(stage: PrivateScene, user: string | undefined, scope = SCOPE): Promise<Response> {
  const authorization = user === undefined ? {} : { authorization: stage.registry.basicFor(user) };
  return ask(stage, `/token?account=${user}&service=drayage&scope=${scope}`, authorization);
}

interface Given {
  readonly token: string;
  readonly access_token: string;
  readonly expires_in: number;
}

const read = async (answer: Response) => (await answer.json()) as Given;

const ofApp = (what: string) => `/v2/private.test/team/app/${what}`;

test.each(['bearer', 'basic'] as const)(
  'a client that writes the origin into the path is led through our realm to a %s origin',
  async (scheme) => {
    await using stage = await startPrivateScene(scheme);
    const { lab, image, registry } = stage;
    const realm = `realm="${lab.base}/token",service="drayage"`;
    const ping = await ask(stage, '/v2/');
    expect([ping.status, ping.headers.get('www-authenticate')]).toEqual([401, `Bearer ${realm}`]);
    const bare = await ask(stage, ofApp('manifests/1'));
    expect(bare.headers.get('www-authenticate')).toBe(`Bearer ${realm},scope="${SCOPE}"`);

    const given = await tokenOf(stage, 'alice');
    const { token, access_token, expires_in, ...more } = await read(given);
    expect([given.status, access_token === token, Object.keys(more)]).toEqual([200, true, ['issued_at']]);
    expect(expires_in).toBe(scheme === 'basic' ? 900 : 3600);
    const authorization = `Bearer ${token}`;
    expect((await ask(stage, '/v2/', { authorization })).status).toBe(200);
    for (const what of ['manifests/1', `manifests/${image.digest}`, `blobs/${image.layer}`]) {
      expect((await ask(stage, ofApp(what), { authorization })).status).toBe(200);
    }
    const scopes = registry.seen.flatMap(({ url }) => new URL(url, registry.url).searchParams.getAll('scope'));
    expect(scopes).toEqual(scheme === 'basic' ? [] : ['repository:team/app:pull']);
  },
);

test.each(['bearer', 'basic'] as const)(
  'whoever the %s origin does not let in gets nothing through our realm either',
  async (scheme) => {
    await using stage = await startPrivateScene(scheme);
    const { image, registry } = stage;
    expect((await tokenOf(stage, undefined)).status).toBe(scheme === 'basic' ? 401 : 200);
    const bob = await tokenOf(stage, 'bob');
    const { token } = await read(bob);
    const blob = await ask(stage, ofApp(`blobs/${image.layer}`), { authorization: `Bearer ${token}` });
    expect(blob.status).toBe(403);
    registry.passwords.set('alice', 'changed');
    const wrong = await ask(stage, `/token?scope=${SCOPE}`, { authorization: `Basic ${btoa('alice:alice-s3cret')}` });
    expect(wrong.status).toBe(401);
  },
);

test('a token of ours ends after a quarter of an hour, and opens nothing at another origin', async () => {
  await using stage = await startPrivateScene('basic');
  const { image, lab, clock } = stage;
  const { token } = await read(await tokenOf(stage, 'alice'));
  const authorization = `Bearer ${token}`;
  const path = ofApp(`blobs/${image.layer}`);
  expect(token).not.toContain(btoa('alice:'));
  const elsewhere = `${lab.base}/v2/docker.io/team/app/blobs/${image.layer}`;
  expect((await fetch(elsewhere, { headers: { authorization } })).status).not.toBe(200);
  clock.now += 15 * MINUTE_MS;
  for (const shown of [authorization, `${authorization.slice(0, -1)}A`]) {
    const over = await ask(stage, path, { authorization: shown });
    expect(over.status).toBe(401);
    expect(over.headers.get('www-authenticate')).toContain('error="invalid_token"');
  }
});

test('a form is taken as well, and containerd is led to our realm when the origin wants passwords', async () => {
  await using stage = await startPrivateScene('basic');
  const { lab, image, get } = stage;
  const bare = await get(`manifests/${image.digest}`);
  expect(bare.headers.get('www-authenticate')).toBe(
    `Bearer realm="${lab.base}/token",service="private.test",scope="repository:team/app:pull"`,
  );
  const form = { grant_type: 'password', client_id: 'containerd-client', username: 'alice', password: 'alice-s3cret' };
  const post = (fields: Readonly<Record<string, string>>) =>
    fetch(`${lab.base}/token`, {
      method: 'POST',
      body: new URLSearchParams({ service: 'private.test', scope: 'repository:team/app:pull', ...fields }),
    });
  const { access_token } = await read(await post(form));
  expect((await get(`blobs/${image.layer}`, `Bearer ${access_token}`)).status).toBe(200);
  expect((await post({ ...form, password: 'wrong' })).status).toBe(401);
  expect((await post({ grant_type: 'authorization_code', code: 'x' })).status).toBe(401);
});

test('scopes of one origin are asked for together; what is public or unknown needs nobody to be asked', async () => {
  await using stage = await startPrivateScene('bearer', { push: true });
  const { registry } = stage;
  const scopes = [
    'repository:private.test/team/app:push,pull',
    'repository:private.test/team/base:pull',
    'repository:docker.io/library/busybox:pull',
    'repository:elsewhere.test/a:pull',
    'registry:catalog:*',
  ];
  expect((await tokenOf(stage, 'alice', scopes.join('&scope='))).status).toBe(200);
  const asked = registry.seen.filter(({ url }) => url.startsWith('/token'));
  expect(asked.map(({ url }) => new URL(url, registry.url).searchParams.getAll('scope'))).toEqual([
    ['repository:team/app:pull,push', 'repository:team/base:pull'],
  ]);
  const open = await tokenOf(stage, undefined, 'repository:docker.io/library/busybox:pull');
  expect((await read(open)).token).toMatch(/^drayage\./);
  expect(registry.seen.filter(({ url }) => url.startsWith('/token'))).toHaveLength(1);
});

test('a login is proven where it is clear whom it is for', async () => {
  await using stage = await startPrivateScene('basic');
  const { lab, registry } = stage;
  const login = (authorization: string) =>
    ask(stage, '/token?account=alice&client_id=docker&offline_token=true', { authorization });
  expect((await login(registry.basicFor('alice'))).status).toBe(200);
  expect((await login(`Basic ${btoa('alice:wrong')}`)).status).toBe(401);
  const dockerd = (host: string) =>
    sendRaw(lab.port, `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: docker/20.10\r\nConnection: close\r\n\r\n`);
  const byName: RawAnswer = await dockerd(`localhost:${lab.port}`);
  expect(byName.headers.get('www-authenticate')).toBe(
    `Bearer realm="http://localhost:${lab.port}/token",service="drayage"`,
  );
  // A mirror of Docker Hub, of which nothing is private here: its passwords are none of our business.
  expect((await dockerd(`127.0.0.1:${lab.port}`)).status).toBe(200);
});

test.each(['bearer', 'basic'] as const)(
  'while a %s origin is away, only who was let in before is let in again, by name and password',
  async (scheme) => {
    await using stage = await startPrivateScene(scheme);
    const { image, registry, lab, clock } = stage;
    await lab.store.put(image.layer, image.layerBytes);
    const path = ofApp(`blobs/${image.layer}`);
    const first = await read(await tokenOf(stage, 'alice'));
    expect((await ask(stage, path, { authorization: `Bearer ${first.token}` })).status).toBe(200);
    await tokenOf(stage, 'bob');
    registry.fault = 503;
    registry.tokenFault = 503;
    clock.now += 20 * MINUTE_MS;
    const again = await tokenOf(stage, 'alice');
    const { token } = await read(again);
    expect((await ask(stage, path, { authorization: `Bearer ${token}` })).status).toBe(200);
    const bob = await read(await tokenOf(stage, 'bob'));
    expect((await ask(stage, path, { authorization: `Bearer ${bob.token}` })).status).toBe(404);
    registry.passwords.set('carol', 'new');
    const carol = await tokenOf(stage, 'carol');
    if (scheme === 'bearer') expect(carol.status).toBe(503);
    else {
      const unproven = { authorization: `Bearer ${(await read(carol)).token}` };
      expect((await ask(stage, path, unproven)).status).toBe(404);
    }
  },
);
