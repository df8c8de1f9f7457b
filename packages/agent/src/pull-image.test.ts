import { randomBytes } from 'node:crypto';
import { type BlobStore, type Catalog, type Digest, originFill, sha256, startPulls } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { type AccessPolicy, type Caller, type OriginRepository, type Origins, policies } from '@drayage/registry';
import { expect, test } from 'vitest';
import { type ImageParts, pullImage } from './pull-image.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** One origin in memory that counts the blobs it sends. */
function originOf(blobs: ReadonlyMap<string, Buffer>, types: ReadonlyMap<string, string>) {
  const sent: string[] = [];
  const callers: string[] = [];
  const repository: Partial<OriginRepository> = {
    origin: 'docker.io',
    getManifest: async (reference) => {
      const bytes = blobs.get(reference);
      return bytes && { digest: sha256(bytes), mediaType: types.get(sha256(bytes)) ?? '', bytes };
    },
    stat: async (digest) => blobs.get(digest)?.length,
    async *read(digest, { start, end }) {
      sent.push(digest);
      const bytes = blobs.get(digest);
      if (!bytes) throw new Error('no such blob');
      yield bytes.subarray(start, end);
    },
  };
  const origins: Origins = {
    has: () => true,
    repository: (_origin: string, _path: string, caller: Caller) => {
      callers.push(caller.kind);
      return repository as OriginRepository;
    },
    status: () => [],
    [Symbol.asyncDispose]: async () => {},
  };
  return { origins, sent, callers };
}

/** `app:1` for two platforms, one layer each. */
function seed() {
  const blobs = new Map<string, Buffer>();
  const types = new Map<string, string>();
  const add = (bytes: Buffer, mediaType: string) => {
    const digest = sha256(bytes);
    blobs.set(digest, bytes);
    types.set(digest, mediaType);
    return { digest, size: bytes.length, mediaType };
  };
  const json = (value: object) => Buffer.from(JSON.stringify({ schemaVersion: 2, ...value }));
  const layers: Digest[] = [];
  const manifests = ['amd64', 'arm64'].map((architecture) => {
    const layer = add(randomBytes(100_000), LAYER);
    layers.push(layer.digest);
    const config = add(json({ architecture }), 'application/vnd.oci.image.config.v1+json');
    const image = add(json({ mediaType: IMAGE, config, layers: [layer] }), IMAGE);
    return { ...image, platform: { os: 'linux', architecture } };
  });
  const index = add(json({ mediaType: INDEX, manifests }), INDEX);
  blobs.set('1', blobs.get(index.digest) ?? Buffer.alloc(0));
  return { blobs, types, layers, index: index.digest };
}

function setUp(access: AccessPolicy = 'public') {
  const seeded = seed();
  const origin = originOf(seeded.blobs, seeded.types);
  const store: BlobStore = memoryStore();
  const tags: string[] = [];
  const belonging = new Set<string>();
  const proofs: string[] = [];
  const catalog: Partial<Catalog> = {
    note: (digest, { repository }) => void belonging.add(`${repository} ${digest}`),
    belongs: (digest, repository) => belonging.has(`${repository} ${digest}`),
    facts: (digest) => ({ repositories: [], mediaType: seeded.types.get(digest), size: undefined }),
    rememberTag: (repository, tag, digest) => void tags.push(`${repository}:${tag} ${digest}`),
    rememberPublic: (repository) => void proofs.push(repository),
  };
  const report = () => {};
  const parts: ImageParts = {
    origins: origin.origins,
    policies: policies({ 'docker.io': { access } }),
    pulls: startPulls({ store, fill: originFill({ report }), report }),
    store,
    catalog: catalog as Catalog,
    defaultOrigin: 'docker.io',
    now: Date.now,
  };
  const events: { name: string; data: unknown }[] = [];
  const tell = (name: string, data: unknown) => void events.push({ name, data });
  const sink = { tell, progress: () => {}, signal: new AbortController().signal };
  const pull = (reference: string, platform?: string) => pullImage({ reference, platform }, parts, sink);
  return { ...seeded, ...origin, store, tags, belonging, proofs, events, pull };
}

test('an image is fetched for one platform, with its tag and its blobs known afterwards', async () => {
  const { pull, layers, store, sent, tags, belonging, events, index, callers } = setUp();
  await pull('app:1', 'linux/arm64');
  const [amd64 = index, arm64 = index] = layers;
  expect(store.sizeOf(arm64)).toBe(100_000);
  expect(store.sizeOf(amd64)).toBeUndefined();
  expect(sent).toContain(arm64);
  expect(tags).toEqual([`docker.io/library/app:1 ${index}`]);
  expect(belonging).toContain(`docker.io/library/app ${arm64}`);
  expect(events.map(({ name }) => name)).toEqual(['image', 'progress', 'done']);
  expect(events.at(-1)?.data).toMatchObject({ digest: index });
  expect(callers).toEqual(['anonymous']);
});

test('what is here already comes from the disk', async () => {
  const { pull, sent, events } = setUp();
  await pull('app:1', 'all');
  const before = sent.length;
  await pull('app:1', 'all');
  expect(sent).toHaveLength(before);
  expect(events.at(-1)?.data).toMatchObject({ bytesFrom: { disk: expect.any(Number) } });
});

test('that a repository is public is remembered when its origin showed it, not when a manifest was held anyway', async () => {
  const { pull, index, proofs } = setUp();
  await pull('app:1', 'linux/amd64');
  expect(new Set(proofs)).toEqual(new Set(['docker.io/library/app']));
  proofs.length = 0;
  await pull(`app@${index}`, 'linux/amd64');
  expect(proofs).toEqual([]);
});

test('a private repository is asked with the credential of the agent, a bypassed one not at all', async () => {
  const own = setUp('node');
  await own.pull('app:1', 'linux/amd64');
  expect(own.callers).toEqual(['agent']);
  const bypassed = setUp('bypass');
  await expect(bypassed.pull('app:1')).rejects.toMatchObject({ code: 'unsupported' });
  expect(bypassed.callers).toEqual([]);
});

test('a platform, a tag or a blob that is not there is said to be so', async () => {
  const { pull, blobs, layers } = setUp();
  await expect(pull('app:1', 'linux/s390x')).rejects.toThrow('it offers linux/amd64, linux/arm64');
  await expect(pull('app:2')).rejects.toMatchObject({ code: 'manifest_unknown' });
  blobs.delete(layers[0] ?? '');
  await expect(pull('app:1', 'linux/amd64')).rejects.toThrow();
});
