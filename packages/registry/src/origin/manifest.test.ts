import { randomBytes } from 'node:crypto';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { reply, startFakeServer } from './fake-server.ts';
import { checkManifest, MANIFEST_TYPES } from './manifest.ts';

const [INDEX = '', IMAGE = '', DOCKER_LIST = '', DOCKER_IMAGE = ''] = MANIFEST_TYPES;
const child = { mediaType: 'application/octet-stream', digest: sha256(randomBytes(9)), size: 9 };
const listed = { ...child, isForeign: false };
const image = { schemaVersion: 2, mediaType: IMAGE, config: child, layers: [child, child] };
const index = { schemaVersion: 2, manifests: [child] };
const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));

test('an image names its config and layers, an index its manifests', () => {
  const urls = ['http://elsewhere/'];
  const foreign = { ...image, layers: [{ ...child, urls }] };
  expect(checkManifest(bytes(image), IMAGE)).toEqual({ kind: 'image', children: [listed, listed, listed] });
  expect(checkManifest(bytes(foreign), IMAGE).children).toEqual([listed, { ...listed, isForeign: true }]);
  expect(checkManifest(bytes({ ...image, mediaType: DOCKER_IMAGE }), DOCKER_IMAGE).kind).toBe('image');
  expect(checkManifest(bytes(index), DOCKER_LIST)).toEqual({ kind: 'index', children: [listed] });
  expect(checkManifest(bytes({ schemaVersion: 1 }), 'application/x+json')).toEqual({ kind: 'other', children: [] });
});

test.each<[string, unknown, string]>([
  ['two readings', { ...image, manifests: [child] }, IMAGE],
  ['two readings of an unknown type', { ...image, mediaType: undefined, manifests: [] }, 'application/x+json'],
  ['a second reading for those who do not mind case', { ...index, Layers: [child] }, INDEX],
  ['a second reading for those who fold letters', { ...index, layerſ: [child] }, INDEX],
  ['another type inside', image, INDEX],
  ['the shape of the other type', index, IMAGE],
  ['an old schema', { ...image, schemaVersion: 1 }, IMAGE],
  ['no config', { ...image, config: undefined }, IMAGE],
  ['a malformed digest', { ...index, manifests: [{ ...child, digest: 'sha256:../../etc' }] }, INDEX],
  ['a negative size', { ...index, manifests: [{ ...child, size: -1 }] }, INDEX],
  ['an absurd size', { ...index, manifests: [{ ...child, size: 2 ** 60 }] }, INDEX],
  ['too many children', { ...index, manifests: Array(4097).fill(child) }, INDEX],
  ['no object', [], INDEX],
])('a manifest with %s is refused', (_, document, type) => {
  expect(() => checkManifest(bytes(document), type)).toThrow(expect.objectContaining({ code: 'manifest_invalid' }));
});

test('a manifest comes as it was sent, asked for with all types, and its digest is its own', async () => {
  const body = bytes(image);
  await using lab = await serving(body, {
    'content-type': `${IMAGE}; charset=utf-8`,
    'docker-content-digest': sha256(body),
  });
  const manifest = await lab.repository.getManifest('latest', undefined, never);
  expect(manifest).toEqual({ digest: sha256(body), mediaType: IMAGE, bytes: body });
  expect(lab.seen[0]?.headers.accept).toBe(MANIFEST_TYPES.join(', '));
  const head = await lab.repository.headManifest('latest', never);
  expect(head).toEqual({ digest: sha256(body), mediaType: IMAGE, size: body.length });
});

test('a manifest that is not its digest is reported and never returned', async () => {
  await using lab = await serving(bytes(image), { 'content-type': IMAGE });
  await expect(lab.repository.getManifest(child.digest, undefined, never)).rejects.toMatchObject({
    code: 'blob_corrupt',
  });
  expect(lab.happenings).toContainEqual(
    expect.objectContaining({ kind: 'corrupt', where: 'origin', digest: child.digest }),
  );
});

test('a page that is no manifest is refused, unless the client asked for such a type', async () => {
  await using lab = await serving(Buffer.from('{}'), { 'content-type': 'application/json' });
  const ask = (accept?: string) => lab.repository.getManifest('latest', accept, never);
  await expect(ask()).rejects.toMatchObject({ code: 'manifest_invalid' });
  await expect(ask('*/*')).rejects.toMatchObject({ code: 'manifest_invalid' });
  expect(await ask('application/json;q=0.5, */*')).toMatchObject({ mediaType: 'application/json' });
});

test('a manifest of five megabytes is not read', async () => {
  await using lab = await serving(Buffer.alloc(5_000_000, ' '), { 'content-type': IMAGE });
  await expect(lab.repository.getManifest('latest', undefined, never)).rejects.toMatchObject({
    code: 'origin_unavailable',
  });
});

async function serving(body: Buffer, headers: object) {
  const server = await startFakeServer((_, response) => reply(response, 200, body, headers));
  const lab = startLab({ url: server.url });
  return {
    seen: server.seen,
    happenings: lab.happenings,
    repository: lab.repository(),
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
