import { expect, test } from 'vitest';
import { addImage, startLab } from './fake-parts.ts';

const DAY_MS = 24 * 3600 * 1000;

test('a public repository is asked about once a day, without a credential', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/${digest}`;
  await fetch(url);
  await fetch(url);
  const question = `anonymous head library/app ${digest}`;
  expect(lab.hub.asked.filter((asked) => asked === question)).toHaveLength(1);
  lab.clock.now += DAY_MS;
  await fetch(url);
  expect(lab.hub.asked.filter((asked) => asked === question)).toHaveLength(2);
});

test('a repository that its origin does not show to everyone is denied, for five minutes without asking again', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  lab.hub.state = 'private';
  const url = `${lab.base}/v2/library/app/manifests/1`;
  const answer = await fetch(url);
  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({ errors: [{ code: 'DENIED' }] });
  lab.hub.state = 'up';
  expect((await fetch(url)).status).toBe(403);
  expect(lab.hub.asked).toHaveLength(1);
  lab.clock.now += 5 * 60 * 1000;
  expect((await fetch(url)).status).toBe(200);
});

test('what one client does not find does not close the repository to others', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  const gate = Promise.withResolvers<void>();
  lab.hub.gate = gate.promise;
  const answers = Promise.all(['typo', '1'].map((tag) => fetch(`${lab.base}/v2/library/app/manifests/${tag}`)));
  gate.resolve();
  expect((await answers).map(({ status }) => status)).toEqual([404, 200]);
});

test('while the origin is away a public repository stays readable, an unknown one is closed', async () => {
  await using lab = await startLab();
  const known = addImage(lab.hub, 'library/app', '1');
  const unknown = addImage(lab.hub, 'library/other', '1');
  const urlOf = (name: string, digest: string) => `${lab.base}/v2/library/${name}/manifests/${digest}`;
  await fetch(urlOf('app', known.digest));
  await lab.store.put(unknown.digest, unknown.bytes);
  lab.hub.state = 'down';
  lab.clock.now += 6 * DAY_MS;
  expect((await fetch(urlOf('app', known.digest))).status).toBe(200);
  expect((await fetch(urlOf('other', unknown.digest))).status).toBe(404);
  lab.clock.now += 2 * DAY_MS;
  expect((await fetch(urlOf('app', known.digest))).status).toBe(404);
});

test('a repository that turns private in the meantime is forgotten at once', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  await fetch(`${lab.base}/v2/library/app/manifests/${digest}`);
  lab.hub.state = 'private';
  expect((await fetch(`${lab.base}/v2/library/app/manifests/1`)).status).toBe(403);
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${digest}`)).status).toBe(403);
});

test('the policy node reads with the credential of the agent', async () => {
  await using lab = await startLab({ 'docker.io': { access: 'node' } });
  addImage(lab.hub, 'team/secret', '1');
  lab.hub.state = 'private';
  expect((await fetch(`${lab.base}/v2/team/secret/manifests/1`)).status).toBe(200);
  expect(lab.hub.asked.every((asked) => asked.startsWith('agent '))).toBe(true);
});

test('the policy bypass leaves everything to the origin', async () => {
  await using lab = await startLab({ 'docker.io': { access: 'bypass' } });
  const { layer } = addImage(lab.hub, 'library/app', '1');
  const manifest = await fetch(`${lab.base}/v2/library/app/manifests/1`);
  const blob = await fetch(`${lab.base}/v2/library/app/blobs/${layer}`);
  expect([manifest.status, blob.status]).toEqual([404, 404]);
  expect(await blob.json()).toMatchObject({ errors: [{ code: 'BLOB_UNKNOWN' }] });
  expect(lab.hub.asked).toEqual([]);
});

test('knowing the digest of a blob is no right to read it through another repository', async () => {
  await using lab = await startLab({ 'docker.io': { repositories: [{ pattern: 'team/secret', access: 'node' }] } });
  const secret = addImage(lab.hub, 'team/secret', '1', Buffer.from('secret layer'));
  const open = addImage(lab.hub, 'library/open', '1');
  await (await fetch(`${lab.base}/v2/team/secret/manifests/1`)).arrayBuffer();
  await fetch(`${lab.base}/v2/library/open/manifests/${open.digest}`);
  await lab.store.put(secret.layer, secret.layerBytes);
  const foreign = [`blobs/${secret.layer}`, `manifests/${secret.digest}`].map((what) =>
    fetch(`${lab.base}/v2/library/open/${what}`).then(({ status }) => status),
  );
  expect(await Promise.all(foreign)).toEqual([404, 404]);
  expect((await fetch(`${lab.base}/v2/team/secret/blobs/${secret.layer}`)).status).toBe(200);
});
