import { type Catalog, type Digest, type PullStatus, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { type ExplainParts, explain } from './explain.ts';
import { aStory, fakeSwarm } from './fake-swarm.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const never: AbortSignal = new AbortController().signal;

/** `app:1`, an index of two platforms of which one was pulled. */
async function scene(changes: Partial<ExplainParts> = {}) {
  const store = memoryStore();
  const types = new Map<Digest, string>();
  const put = async (value: object, mediaType: string) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...value }));
    const digest = sha256(bytes);
    types.set(digest, mediaType);
    await store.put(digest, bytes);
    return { digest, size: bytes.length, mediaType };
  };
  const config = await put({ architecture: 'amd64' }, 'application/vnd.oci.image.config.v1+json');
  const layer = { digest: sha256(Buffer.from('layer')), size: 10 * 2 ** 20, mediaType: LAYER };
  const image = await put({ mediaType: IMAGE, config, layers: [layer, layer] }, IMAGE);
  const absent = { digest: sha256(Buffer.from('arm64')), size: 500, mediaType: IMAGE };
  const index = await put({ mediaType: INDEX, manifests: [image, absent] }, INDEX);
  const catalog: Partial<Catalog> = {
    facts: (digest) => ({ repositories: [], mediaType: types.get(digest), size: undefined }),
    recallTag: (repository, tag) =>
      repository === 'docker.io/library/app' && tag === '1' ? { digest: index.digest, seenAt: 0 } : undefined,
  };
  const parts: ExplainParts = {
    store,
    catalog: catalog as Catalog,
    pulls: {
      open: async () => undefined,
      keep: async () => false,
      list: () => [],
      [Symbol.asyncDispose]: async () => {},
    },
    swarm: undefined,
    defaultOrigin: 'docker.io',
    ...changes,
  };
  return { parts, store, index, image, config, layer };
}

function aPull(digest: Digest, changes: Partial<PullStatus> = {}): PullStatus {
  return {
    digest,
    origin: 'docker.io',
    size: 100,
    heldBytes: 100,
    readers: 0,
    state: 'sealed',
    startedAt: 1,
    endedAt: 2,
    bytesFrom: { disk: 10, peer: 20, origin: 70 },
    awaitsProof: false,
    problem: undefined,
    ...changes,
  };
}

test('an image is told as its manifests that are here and what they name, each blob once', async () => {
  const it = await scene();
  const { image, blobs } = await explain('app:1', it.parts, never);
  expect(image).toEqual({ repository: 'docker.io/library/app', tag: '1', digest: it.index.digest });
  expect(blobs.map(({ digest, isHeld }) => [digest, isHeld])).toEqual([
    [it.index.digest, true],
    [it.image.digest, true],
    [it.config.digest, true],
    [it.layer.digest, false],
  ]);
  expect(blobs.at(-1)).toMatchObject({ size: 10 * 2 ** 20, mediaType: LAYER, stories: [] });
  const byDigest = await explain(`app@${it.image.digest}`, it.parts, never);
  expect(byDigest.blobs.map(({ digest }) => digest)).toEqual([it.image.digest, it.config.digest, it.layer.digest]);
});

test('the stories are those of the swarm, the latest first', async () => {
  const { layer } = await scene();
  const stories = [
    aStory(layer.digest),
    aStory(layer.digest, { startedAt: 9000, endedAt: undefined, state: 'filling' }),
  ];
  const { parts } = await scene({ swarm: fakeSwarm({ stories }) });
  const { image, blobs } = await explain(layer.digest, parts, never);
  expect(image).toBeUndefined();
  expect(blobs).toMatchObject([
    {
      digest: layer.digest,
      isHeld: false,
      size: 10 * 2 ** 20,
      stories: [{ state: 'filling' }, { state: 'sealed', diskBytes: 2 ** 20, memberBytes: 7 * 2 ** 20 }],
    },
  ]);
});

test('a host without a swarm tells what its fills counted', async () => {
  const { layer } = await scene();
  const list = () => [aPull(layer.digest), aPull(sha256(Buffer.from('another')))];
  const { parts } = await scene({
    pulls: { open: async () => undefined, keep: async () => false, list, [Symbol.asyncDispose]: async () => {} },
  });
  const { blobs } = await explain(layer.digest, parts, never);
  expect(blobs[0]?.stories).toEqual([
    {
      digest: layer.digest,
      origin: 'docker.io',
      size: 100,
      state: 'sealed',
      startedAt: 1,
      endedAt: 2,
      problem: undefined,
      home: undefined,
      diskBytes: 10,
      memberBytes: 20,
      fromOrigin: { bytes: 70 },
      fromMembers: [],
      notes: [],
    },
  ]);
});

test('what nothing is known of fails with a reason to act upon', async () => {
  const it = await scene();
  await expect(explain(it.layer.digest, it.parts, never)).rejects.toMatchObject({ code: 'blob_unknown' });
  await expect(explain('app:2', it.parts, never)).rejects.toMatchObject({ code: 'manifest_unknown' });
  await expect(explain('APP', it.parts, never)).rejects.toMatchObject({ code: 'name_invalid' });
  await it.store.remove(it.index.digest);
  await expect(explain('app:1', it.parts, never)).rejects.toThrow(`not here any more: ${it.index.digest}`);
});
