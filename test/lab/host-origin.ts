import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '@drayage/core';
import {
  blobBytes,
  busyboxLayer,
  documentOf,
  type Image,
  image,
  MIB,
  noiseLayer,
  push,
  pushBlob,
  pushManifest,
  single,
} from './images.ts';
import type { Network, Rates, Traffic } from './network.ts';
import { commandAt, type Running, start } from './process.ts';
import { noise } from './tar.ts';

const ADDRESS = '10.98.0.2';
const PORT = 5000;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const CHUNK_BYTES = 16 * MIB;

/** The origin of several hosts: a real registry on a host of its own, whose bytes are counted on its link. */
export interface HostOrigin extends AsyncDisposable {
  readonly url: string;
  /** What it has sent so far, whatever for. */
  sent(): Promise<Traffic>;
  /** Makes an image of about this size that no host has, and puts it in. */
  push(name: string, bytes: number): Promise<HostImage>;
  /** Likewise, with one layer of exactly this size, which never lies in memory as a whole. Runtimes could not unpack it. */
  pushOne(name: string, bytes: number): Promise<HostImage>;
  /** How often a blob of this repository was asked for. */
  pullsOf(repository: string): number;
  stop(): Promise<void>;
  startAgain(): Promise<void>;
}

export interface HostImage {
  readonly repository: string;
  readonly tag: string;
  /** Of its manifest. */
  readonly digest: Digest;
  readonly config: Digest;
  /** The largest first. */
  readonly layers: readonly Digest[];
  /** Of all its blobs, once. */
  readonly bytes: number;
}

/** Of an image: half of it, a quarter, and so on; the rest is the last. */
const LAYER_SHARES = [1 / 2, 1 / 4, 1 / 8, 1 / 16];

/** Starts it on the network. Only what it sends is slowed down: what tests put in is no part of any pull. */
export async function startHostOrigin(
  network: Network,
  folder: string,
  { upMbit }: Pick<Rates, 'upMbit'>,
): Promise<HostOrigin> {
  mkdirSync(folder, { recursive: true });
  const port = await network.attach('origin', ADDRESS, { upMbit });
  const url = `http://${ADDRESS}:${PORT}`;
  const file = join(folder, 'registry.yml');
  const settings = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') } },
    http: { addr: `${ADDRESS}:${PORT}` },
  };
  writeFileSync(file, JSON.stringify(settings));
  const log = join(folder, 'registry.log');
  const begin = (): Promise<Running> =>
    start({
      ...commandAt(port.inside, 'docker-registry', ['serve', file]),
      env: { OTEL_TRACES_EXPORTER: 'none' },
      log,
      ready: async () => (await fetch(`${url}/v2/`)).ok,
    });
  let registry = await begin();
  return {
    url,
    sent: port.sent,
    push: async (name, bytes) => {
      const repository = `library/${name}`;
      const made = imageOf(name, bytes);
      await push(url, repository, '1', single(made));
      return {
        repository,
        tag: '1',
        digest: made.manifest.digest,
        config: made.config.digest,
        layers: made.layers.toSorted((one, other) => other.bytes.length - one.bytes.length).map(({ digest }) => digest),
        bytes: blobBytes(made),
      };
    },
    pushOne: async (name, bytes) => {
      const repository = `library/${name}`;
      const layer = { mediaType: LAYER, size: bytes, digest: await pushNoise(url, repository, name, bytes) };
      const config = documentOf(CONFIG, { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } });
      await pushBlob(url, repository, config);
      const { digest } = config;
      const manifest = documentOf(MANIFEST, {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { mediaType: CONFIG, size: config.bytes.length, digest },
        layers: [layer],
      });
      await pushManifest(url, repository, '1', manifest);
      const all = bytes + config.bytes.length;
      return { repository, tag: '1', digest: manifest.digest, config: digest, layers: [layer.digest], bytes: all };
    },
    pullsOf: (repository) => {
      const pull = new RegExp(`"GET /v2/${repository}/blobs/sha256:`);
      return readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => pull.test(line)).length;
    },
    // At once: an origin that fails does not say goodbye.
    stop: () => registry.kill(),
    startAgain: async () => {
      registry = await begin();
    },
    [Symbol.asyncDispose]: () => registry.kill(),
  };
}

/** Sends the registry noise as it is made. */
async function pushNoise(url: string, repository: string, seed: string, bytes: number): Promise<Digest> {
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const hash = createHash('sha256');
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += CHUNK_BYTES) {
      const chunk = noise(Math.min(CHUNK_BYTES, bytes - at), `${seed}-${at}`);
      hash.update(chunk);
      yield chunk;
    }
  }
  const sent = await fetch(new URL(begun.headers.get('location') ?? '', url), {
    method: 'PATCH',
    body: body(),
    duplex: 'half',
    headers: { 'content-type': 'application/octet-stream' },
  });
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  const location = new URL(sent.headers.get('location') ?? '', url);
  location.searchParams.set('digest', digest);
  const done = await fetch(location, { method: 'PUT' });
  if (done.status !== 201) throw new Error(`the registry refused ${digest}: ${done.status} ${await done.text()}`);
  return digest;
}

function imageOf(name: string, bytes: number): Image {
  const busybox = busyboxLayer(name);
  const sizes = LAYER_SHARES.map((share) => Math.round(bytes * share));
  const rest = bytes - busybox.bytes.length - sizes.reduce((sum, size) => sum + size, 0);
  const layers = [...sizes, Math.max(rest, MIB / 16)].map((size, at) => noiseLayer(`${name}-${at}`, size));
  return image([busybox, ...layers], 'oci');
}
