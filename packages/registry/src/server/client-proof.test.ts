import { expect, test } from 'vitest';
import type { GuardedRegistry } from './fake-guarded.ts';
import { addImage } from './fake-parts.ts';
import { PRIVATE_NS, startPrivateScene } from './fake-scene.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const checks = ({ seen }: GuardedRegistry) =>
  seen.filter(({ method, url }) => method === 'HEAD' && url.includes('/manifests/')).length;
const bearer = (token: string) => `Bearer ${token}`;

test("a client that shows nothing is told the origin's own way, without its prefix and without a word from the disk", async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  await get(`manifests/${image.digest}`, alice);
  for (const what of [`manifests/${image.digest}`, 'manifests/1', `blobs/${image.layer}`, 'tags/list']) {
    const answer = await get(what);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer realm="${registry.url}/token",service="guarded",scope="repository:team/app:pull"`,
    );
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
  }
});

test('one question to the origin opens a repository to a credential for a quarter of an hour', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get, clock } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  const all = [`manifests/${image.digest}`, `blobs/${image.layer}`, `blobs/${image.config}`];
  await Promise.all(Array.from({ length: 20 }, () => get(`manifests/${image.digest}`, alice)));
  expect(checks(registry)).toBe(1);
  for (const what of all) expect((await get(what, alice)).status).toBe(200);
  clock.now += 15 * MINUTE_MS - 1;
  expect((await get(`manifests/${image.digest}`, alice)).status).toBe(200);
  expect(checks(registry)).toBe(1);
  clock.now += 1;
  expect((await get(`manifests/${image.digest}`, alice)).status).toBe(200);
  expect(checks(registry)).toBe(2);
  expect(registry.seen.every(({ headers }) => [undefined, alice].includes(headers.authorization))).toBe(true);
});

test('a credential that the origin does not know, or that is over, is asked for again; one for elsewhere is a plain no', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get, clock } = stage;
  const what = `blobs/${image.layer}`;
  const old = bearer(registry.tokenFor('alice', 'team/app'));
  expect((await get(what, old)).status).toBe(200);
  clock.now += 2 * HOUR_MS;
  for (const shown of [bearer('garbage'), old, 'Nonsense', bearer('drayage.AAAA')]) {
    const answer = await get(what, shown);
    expect([shown, answer.status]).toEqual([shown, 401]);
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"');
  }
  const other = bearer(registry.tokenFor('alice', 'team/other'));
  const bob = bearer(registry.tokenFor('bob', 'team/app'));
  const claims = Buffer.from('{"aud":"another registry"}').toString('base64url');
  const foreign = bearer(`e30.${claims}.x`);
  for (const shown of [other, bob, foreign]) {
    const answer = await get(what, shown);
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'DENIED' }] });
  }
  expect(registry.seen.some(({ headers }) => headers.authorization === foreign)).toBe(false);
});

test('a right that was taken away is gone within the time to live, also when a tag tells of it first', async () => {
  await using stage = await startPrivateScene('bearer', { proof: { ttlMs: 5 * MINUTE_MS, staleForMs: HOUR_MS } });
  const { image, registry, get, clock, lab } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  const what = `blobs/${image.layer}`;
  await lab.store.put(image.layer, image.layerBytes);
  expect((await get(what, alice)).status).toBe(200);
  registry.rights.clear();
  expect((await get(what, alice)).status).toBe(200);
  clock.now += 5 * MINUTE_MS;
  expect((await get(what, alice)).status).toBe(403);
  registry.fault = 500;
  clock.now += MINUTE_MS;
  expect((await get(what, alice)).status).toBe(404);

  registry.fault = undefined;
  registry.rights.add('alice team/app');
  clock.now += MINUTE_MS;
  expect((await get(what, alice)).status).toBe(200);
  registry.rights.clear();
  expect((await get('manifests/1', alice)).status).toBe(403);
  expect((await get(what, alice)).status).toBe(403);
});

test.each([429, 503])(
  'while the origin answers %s, who was let in stays in for as long as the operator says',
  async (fault) => {
    await using stage = await startPrivateScene('bearer', { proof: { ttlMs: MINUTE_MS, staleForMs: HOUR_MS } });
    const { image, registry, get, clock, lab } = stage;
    const known = bearer(registry.tokenFor('alice', 'team/app'));
    const stranger = bearer(registry.tokenFor('alice', 'team/app'));
    await get(`manifests/${image.digest}`, known);
    await get(`blobs/${image.layer}`, known);
    await lab.store.put(image.digest, image.bytes);
    await lab.store.put(image.layer, image.layerBytes);
    registry.fault = fault;
    clock.now += 10 * MINUTE_MS;
    for (const what of [`manifests/${image.digest}`, `blobs/${image.layer}`]) {
      expect((await get(what, known)).status).toBe(200);
      expect((await get(what, stranger)).status).toBe(404);
    }
    clock.now += HOUR_MS;
    expect((await get(`blobs/${image.layer}`, known)).status).toBe(404);
  },
);

test('a credential for one repository opens no blob of another, whose digest it knows', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, lab } = stage;
  registry.rights.add('bob team/own');
  const own = addImage(registry, 'team/own', '1', Buffer.from('own layer'));
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  const bob = bearer(registry.tokenFor('bob', 'team/own'));
  const get = async (path: string, authorization: string) =>
    (await fetch(`${lab.base}/v2/${path}?${PRIVATE_NS}`, { headers: { authorization } })).status;
  expect(await get(`team/app/blobs/${image.layer}`, alice)).toBe(200);
  expect(await get(`team/app/manifests/${image.digest}`, alice)).toBe(200);
  await lab.store.put(image.layer, image.layerBytes);
  expect(await get(`team/own/manifests/${own.digest}`, bob)).toBe(200);
  for (const what of [`blobs/${image.layer}`, `manifests/${image.digest}`]) {
    expect(await get(`team/own/${what}`, bob)).toBe(404);
    expect(await get(`team/app/${what}`, bob)).toBe(403);
  }
});

test('a layer that a manifest only claims to be elsewhere is no way to the same digest in another repository', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, lab } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  await stage.get(`manifests/${image.digest}`, alice);
  await lab.store.put(image.layer, image.layerBytes);
  registry.rights.add('bob team/own');
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'x/y', digest: image.config, size: 2 },
      layers: [
        {
          mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
          digest: image.layer,
          size: image.layerBytes.length,
          urls: ['https://elsewhere.test/layer'],
        },
      ],
    }),
  );
  registry.manifests.set('team/own 1', { mediaType: 'application/vnd.docker.distribution.manifest.v2+json', bytes });
  const bob = { headers: { authorization: bearer(registry.tokenFor('bob', 'team/own')) } };
  const { status, headers } = await fetch(`${lab.base}/v2/team/own/manifests/1?${PRIVATE_NS}`, {
    ...bob,
    method: 'HEAD',
  });
  expect(status).toBe(200);
  registry.manifests.set(`team/own ${headers.get('docker-content-digest')}`, {
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    bytes,
  });
  expect((await fetch(`${lab.base}/v2/team/own/manifests/1?${PRIVATE_NS}`, bob)).status).toBe(200);
  expect((await fetch(`${lab.base}/v2/team/own/blobs/${image.layer}?${PRIVATE_NS}`, bob)).status).toBe(404);
});

test('the origin is asked a bounded number of times a second, and strangers do not use up what the known need', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get, clock } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  const what = `blobs/${image.layer}`;
  expect((await get(what, alice)).status).toBe(200);
  clock.now += 15 * MINUTE_MS;
  const before = registry.seen.length;
  const flood = Array.from({ length: 300 }, (_, at) => get(what, bearer(`garbage-${at}`)));
  const statuses = (await Promise.all(flood)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 401)).toHaveLength(100);
  expect(statuses.filter((status) => status === 404)).toHaveLength(200);
  expect(registry.seen.length - before).toBeLessThanOrEqual(100);
  registry.rights.clear();
  expect((await get(what, alice)).status).toBe(403);
});

test('an origin that answers everything with a page for people opens nothing', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get, lab, clock } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  await get(`manifests/${image.digest}`, alice);
  await lab.store.put(image.layer, image.layerBytes);
  registry.page = '<html>back soon</html>';
  const whats = [
    `blobs/${image.layer}`,
    `manifests/${image.digest}`,
    'manifests/1',
    'tags/list',
    `referrers/${image.digest}`,
  ];
  for (const what of whats) {
    for (const authorization of [undefined, bearer('garbage')]) {
      clock.now += 2 * HOUR_MS;
      expect([what, (await get(what, authorization)).status]).not.toEqual([what, 200]);
    }
  }
});

test('the log tells of decisions, and holds no credential', async () => {
  await using stage = await startPrivateScene();
  const { image, registry, get, lab } = stage;
  const alice = bearer(registry.tokenFor('alice', 'team/app'));
  await get('manifests/1');
  await get('manifests/1', alice);
  await get(`blobs/${image.layer}`, bearer('garbage'));
  const decisions = lab.happenings.flatMap((happening) => (happening.kind === 'access' ? [happening.decision] : []));
  expect(decisions).toEqual(['challenge', 'allow', 'challenge']);
  expect(JSON.stringify(lab.happenings)).not.toMatch(/garbage|e30\./);
  expect(lab.happenings.some((happening) => happening.kind === 'error')).toBe(false);
});
