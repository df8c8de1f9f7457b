import { type Digest, Failure, type Happening, type Pulls, sha256 } from '@drayage/core';
import { fakeRemote, memoryStore } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { type Lab, OCI_IMAGE, startLab } from './fake-parts.ts';
import { openPrefetch } from './prefetch.ts';

const REPOSITORY = 'docker.io/library/app';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const layersOf = (name: string, count: number) =>
  Array.from({ length: count }, (_, at) => Buffer.from(`${name} ${at}`));

/** An image of which nothing is here, and pulls that end when the test says so. */
function scene(layers: readonly Buffer[] = layersOf('layer', 8), lingerMs = 1) {
  const store = memoryStore();
  const happenings: Happening[] = [];
  const begun: Digest[] = [];
  const endings = new Map<Digest, PromiseWithResolvers<boolean>>();
  const pulls: Pick<Pulls, 'keep'> = {
    keep({ digest }, signal) {
      begun.push(digest);
      const ending = Promise.withResolvers<boolean>();
      endings.set(digest, ending);
      signal.addEventListener('abort', () => ending.resolve(false));
      return ending.promise;
    },
  };
  const prefetch = openPrefetch({
    pulls: pulls as Pulls,
    store,
    catalog: { facts: () => ({ repositories: [], mediaType: LAYER, size: 10 }) } as never, // only this is asked of a catalog here
    report: (happening) => happenings.push(happening),
    lingerMs,
  });
  const digests = layers.map((layer) => sha256(layer));
  const show = (name: string, some: readonly Digest[], mediaType = LAYER) =>
    prefetch.saw(
      REPOSITORY,
      sha256(Buffer.from(name)),
      some.map((digest) => ({ digest, size: 10, mediaType, isForeign: false })),
    );
  show('image', digests);
  return {
    prefetch,
    store,
    happenings,
    begun,
    digests,
    show,
    read: (at: number, repository = REPOSITORY) =>
      prefetch.follow({ repository, digest: digests[at] as Digest, remote: fakeRemote(new Map()) }),
    end: (at: number, isKept = true) => endings.get(digests[at] as Digest)?.resolve(isKept),
    fail: (at: number, error: Error) => endings.get(digests[at] as Digest)?.reject(error),
  };
}

test('the layers above the one that is read follow in order, three at a time', async () => {
  const { prefetch, read, begun, digests, end } = scene();
  await using _ = prefetch;
  read(1);
  expect(begun).toEqual(digests.slice(2, 5));
  end(3);
  await expect.poll(() => begun).toEqual(digests.slice(2, 6));
  end(2);
  end(4);
  await expect.poll(() => begun).toEqual(digests.slice(2, 8));
});

test('what is here, what the client came for itself, and what is not for us to give is left out', async () => {
  const { prefetch, read, begun, digests, store, end, show } = scene();
  await using _ = prefetch;
  await store.put(digests[1] as Digest, Buffer.from('layer 1'));
  read(0);
  expect(begun).toEqual(digests.slice(2, 5));
  read(5);
  end(2);
  await expect.poll(() => begun).toEqual([...digests.slice(2, 5), digests[6]]);
  const foreign = sha256(Buffer.from('foreign'));
  show('windows', [digests[7] as Digest, foreign], 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
  read(7);
  expect(begun).not.toContain(foreign);
});

test('a blob of another repository, or of no image that was shown lately, brings nothing with it', async () => {
  const { prefetch, read, begun, show } = scene();
  await using _ = prefetch;
  read(0, 'docker.io/library/other')();
  for (let count = 0; count < 64; count++) show(`image ${count}`, [sha256(Buffer.from(`layer of ${count}`))]);
  read(0)();
  expect(begun).toEqual([]);
});

test('it stops a while after the last reader of the image is gone, and begins again with the next', async () => {
  const { prefetch, read, begun, digests, happenings } = scene();
  await using _ = prefetch;
  const [one, two] = [read(0), read(1)];
  one();
  two();
  await expect.poll(() => happenings.filter(({ kind }) => kind === 'prefetch').length).toBe(3);
  expect(happenings).toContainEqual({
    kind: 'prefetch',
    outcome: 'stopped',
    digest: digests[1],
    problem: undefined,
  });
  expect(begun).toEqual(digests.slice(1, 4));
  read(5);
  expect(begun).toEqual([...digests.slice(1, 4), ...digests.slice(6)]);
});

test('a failure is counted, ends the round, and troubles nobody; a bug is told', async () => {
  const { prefetch, read, begun, digests, fail, end, happenings } = scene();
  await using _ = prefetch;
  read(0);
  end(1, false);
  fail(2, new Failure('disk_failed', 'no more'));
  fail(3, new Error('a bug'));
  const counted = () => happenings.filter(({ kind }) => kind === 'prefetch');
  await expect.poll(() => counted().length).toBe(3);
  expect(counted()).toEqual(
    [undefined, 'no more', 'a bug'].map((problem, at) => ({
      kind: 'prefetch',
      outcome: 'failed',
      digest: digests[at + 1],
      problem,
    })),
  );
  expect(happenings.filter(({ kind }) => kind === 'error')).toMatchObject([{ where: 'prefetch', problem: 'a bug' }]);
  expect(begun).toHaveLength(3);
});

test('closing calls off what runs, and nothing begins any more', async () => {
  const { prefetch, read, begun } = scene();
  read(0);
  await prefetch[Symbol.asyncDispose]();
  read(5);
  expect(begun).toHaveLength(3);
});

/** An origin with an image of four layers, whose manifest a client has read. */
async function startWithLayers(): Promise<{ lab: Lab; urls: readonly string[]; digests: readonly Digest[] }> {
  const lab = await startLab();
  const layers = layersOf('a layer', 4);
  const config = Buffer.from('{}');
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => describe(LAYER, layer)),
  };
  lab.hub.manifests.set('library/app 1', { mediaType: OCI_IMAGE, bytes: Buffer.from(JSON.stringify(manifest)) });
  const digest = sha256(Buffer.from(JSON.stringify(manifest)));
  lab.hub.manifests.set(`library/app ${digest}`, {
    mediaType: OCI_IMAGE,
    bytes: Buffer.from(JSON.stringify(manifest)),
  });
  for (const blob of [config, ...layers]) lab.hub.blobs.set(`library/app ${sha256(blob)}`, blob);
  await (await fetch(`${lab.base}/v2/library/app/manifests/1`)).arrayBuffer();
  const digests = [config, ...layers].map((blob) => sha256(blob));
  return { lab, digests, urls: digests.map((blob) => `${lab.base}/v2/library/app/blobs/${blob}`) };
}

test('a client that reads the first layer finds the others on the disk', async () => {
  const { lab, urls, digests } = await startWithLayers();
  await using _ = lab;
  const [, first = '', , , last = ''] = urls;
  await (await fetch(first)).arrayBuffer();
  await expect.poll(() => digests.slice(2).every((digest) => lab.store.sizeOf(digest) !== undefined)).toBe(true);
  lab.hub.state = 'down';
  expect((await fetch(last)).headers.get('drayage-source')).toBe('disk');
});

test('asking for headers, for a range or for the config fetches nothing ahead', async () => {
  const { lab, urls } = await startWithLayers();
  await using _ = lab;
  const [config = '', first = ''] = urls;
  await (await fetch(config)).arrayBuffer();
  await fetch(first, { method: 'HEAD' });
  await (await fetch(first, { headers: { range: 'bytes=0-3' } })).arrayBuffer();
  const reads = lab.hub.asked.filter((asked) => asked.includes(' read '));
  expect(reads).toHaveLength(2);
  expect(lab.happenings.filter(({ kind }) => kind === 'prefetch')).toEqual([]);
});
