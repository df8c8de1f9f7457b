import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { addImage, OCI_IMAGE, OCI_INDEX, startLab } from './fake-parts.ts';
import { accepts } from './manifests.ts';

test('HEAD and GET of a manifest carry the same exact headers', async () => {
  await using lab = await startLab();
  const image = addImage(lab.hub, 'library/app', '1');
  const head = await fetch(`${lab.base}/v2/library/app/manifests/1?ns=docker.io`, { method: 'HEAD' });
  const get = await fetch(`${lab.base}/v2/library/app/manifests/1?ns=docker.io`);
  for (const answer of [head, get]) {
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': OCI_IMAGE,
      'content-length': String(image.bytes.length),
      'docker-content-digest': image.digest,
      'docker-distribution-api-version': 'registry/2.0',
      etag: `"${image.digest}"`,
      'oci-namespace': 'docker.io',
    });
  }
  expect((await head.arrayBuffer()).byteLength).toBe(0);
  expect(Buffer.from(await get.arrayBuffer())).toEqual(image.bytes);
});

test('asking for the headers of a manifest downloads nothing', async () => {
  await using lab = await startLab();
  addImage(lab.hub, 'library/app', '1');
  await fetch(`${lab.base}/v2/library/app/manifests/1`, { method: 'HEAD' });
  expect(lab.hub.asked.filter((question) => question.includes(' get '))).toEqual([]);
});

test('a manifest by digest is fetched once and then served from the disk without the origin', async () => {
  await using lab = await startLab();
  const { digest, bytes } = addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/${digest}`;
  const answers = await Promise.all([fetch(url), fetch(url), fetch(url)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(lab.hub.asked.filter((question) => question.includes(' get '))).toHaveLength(1);
  lab.hub.state = 'down';
  const later = await fetch(url);
  expect(later.headers.get('drayage-source')).toBe('disk');
  expect(Buffer.from(await later.arrayBuffer())).toEqual(bytes);
});

test('a manifest that is not its digest is not served', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  lab.hub.manifests.set(`library/app ${digest}`, { mediaType: OCI_IMAGE, bytes: Buffer.from('{}') });
  const answer = await fetch(`${lab.base}/v2/library/app/manifests/${digest}`);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ errors: [{ code: 'MANIFEST_UNKNOWN' }] });
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'corrupt', where: 'origin' }));
});

test('a manifest that the disk spoiled comes from the origin again', async () => {
  await using lab = await startLab();
  const { digest, bytes } = addImage(lab.hub, 'library/app', '1');
  const url = `${lab.base}/v2/library/app/manifests/${digest}`;
  await fetch(url);
  await lab.store.put(digest, Buffer.alloc(bytes.length));
  expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(bytes);
});

test('a layer is no manifest', async () => {
  await using lab = await startLab();
  const { digest, layer, layerBytes } = addImage(lab.hub, 'library/app', '1');
  await fetch(`${lab.base}/v2/library/app/manifests/${digest}`);
  await lab.store.put(layer, layerBytes);
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${layer}`)).status).toBe(404);
});

test('a client that does not take the stored type gets what the origin makes of its own Accept, unkept', async () => {
  await using lab = await startLab();
  const { digest } = addImage(lab.hub, 'library/app', '1');
  const old = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  const converted = Buffer.from('{"schemaVersion":1}');
  lab.hub.manifests.set(`library/app 1 ${old}`, { mediaType: old, bytes: converted });
  const answer = await fetch(`${lab.base}/v2/library/app/manifests/1`, { headers: { accept: old } });
  expect(answer.headers.get('content-type')).toBe(old);
  expect(answer.headers.get('docker-content-digest')).toBe(sha256(converted));
  expect(lab.store.sizeOf(sha256(converted))).toBeUndefined();
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${digest}`)).headers.get('content-type')).toBe(OCI_IMAGE);
});

test('an index without a media type of its own is served as what it is', async () => {
  await using lab = await startLab();
  const image = addImage(lab.hub, 'library/app', '1');
  const child = { mediaType: OCI_IMAGE, digest: image.digest, size: image.bytes.length };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [child] }));
  lab.hub.manifests.set(`library/app ${sha256(bytes)}`, { mediaType: OCI_INDEX, bytes });
  const url = `${lab.base}/v2/library/app/manifests/${sha256(bytes)}`;
  await fetch(url);
  expect((await fetch(url)).headers.get('content-type')).toBe(OCI_INDEX);
  lab.hub.asked.length = 0;
  await fetch(`${lab.base}/v2/library/app/manifests/${image.digest}`);
  expect(lab.hub.asked).toEqual([`anonymous get library/app ${image.digest}`]);
});

test.each([
  [undefined, true],
  ['*/*', true],
  [`application/json, ${OCI_INDEX}, ${OCI_IMAGE}`, true],
  [`${OCI_INDEX};q=0.5,${OCI_IMAGE.toUpperCase()};q=0.9`, true],
  ['application/json', false],
  ['', false],
])('an Accept of %s lets an image manifest through: %s', (accept, expected) => {
  expect(accepts(accept, OCI_IMAGE)).toBe(expected);
});
