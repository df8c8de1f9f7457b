import { expect, test, vi } from 'vitest';
import { addImage, startLab } from './fake-parts.ts';

const DAY_MS = 24 * 3600 * 1000;

test('a tag is resolved at its origin every time', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', 'latest', Buffer.from('old'));
  const url = `${lab.base}/v2/library/app/manifests/latest`;
  const before = (await fetch(url)).headers.get('docker-content-digest');
  const moved = addImage(lab.hub, 'library/app', 'latest', Buffer.from('new'));
  const after = (await fetch(url)).headers.get('docker-content-digest');
  expect(after).toBe(moved.digest);
  expect(after).not.toBe(before);
});

test('a tag within its time to live is not asked for again', async () => {
  await using lab = await startLab({ 'docker.io': { tags: [{ pattern: 'v*', ttlMs: 60_000, staleForMs: 0 }] } });
  addImage(lab.hub, 'library/app', 'v1');
  const url = `${lab.base}/v2/library/app/manifests/v1`;
  await fetch(url);
  lab.hub.asked.length = 0;
  await fetch(url);
  expect(lab.hub.asked).toEqual([]);
  lab.clock.now += 60_000;
  await fetch(url);
  expect(lab.hub.asked).toEqual(['anonymous head library/app v1']);
});

test('many who ask for one tag at once cost the origin one question', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/1`;
  await fetch(url);
  lab.hub.asked.length = 0;
  const gate = Promise.withResolvers<void>();
  lab.hub.gate = gate.promise;
  const before = lab.happenings.filter(({ kind }) => kind === 'access').length;
  const answers = Promise.all(Array.from({ length: 20 }, () => fetch(url)));
  await vi.waitFor(() => {
    expect(lab.happenings.filter(({ kind }) => kind === 'access')).toHaveLength(before + 20);
  });
  gate.resolve();
  expect((await answers).every(({ status }) => status === 200)).toBe(true);
  expect(lab.hub.asked).toEqual(['anonymous head library/app 1']);
});

test('an origin that is away is stood in for by the last known digest, with a warning', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/1`;
  await (await fetch(url)).arrayBuffer();
  lab.hub.state = 'down';
  lab.clock.now += 6 * DAY_MS;
  const stale = await fetch(url);
  expect(stale.status).toBe(200);
  expect(stale.headers.get('docker-content-digest')).toBe(digest);
  expect(stale.headers.get('warning')).toBe('110 - "Response is Stale"');
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'masked', origin: 'docker.io' }));
});

test('an origin that says nothing is stood in for after two seconds', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/1`;
  await (await fetch(url)).arrayBuffer();
  lab.hub.state = 'silent';
  const startedAt = performance.now();
  expect((await fetch(url)).status).toBe(200);
  expect(performance.now() - startedAt).toBeLessThan(3_000);
});

test('what is known of a tag is too old after its time', async () => {
  await using lab = await startLab({
    'docker.io': { access: 'node', tags: [{ pattern: '*', ttlMs: 0, staleForMs: DAY_MS }] },
  });
  addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/1`;
  await (await fetch(url)).arrayBuffer();
  lab.hub.state = 'down';
  lab.clock.now += 2 * DAY_MS;
  const answer = await fetch(url);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ errors: [{ code: 'MANIFEST_UNKNOWN' }] });
});

test('a tag the origin no longer has is gone, whatever was known', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/1`;
  await (await fetch(url)).arrayBuffer();
  lab.hub.manifests.clear();
  expect((await fetch(url)).status).toBe(404);
});

test('a registry that does not say the digest is asked for the manifest instead', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  lab.hub.hidesDigest = true;
  const head = await fetch(`${lab.base}/v2/library/app/manifests/1`, { method: 'HEAD' });
  expect(head.headers.get('docker-content-digest')).toBe(digest);
});
