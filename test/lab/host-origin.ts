import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { blobBytes, busyboxLayer, type Image, image, MIB, noiseLayer, push, single } from './images.ts';
import type { Network, Rates, Traffic } from './network.ts';
import { commandAt, type Running, start } from './process.ts';

const ADDRESS = '10.98.0.2';
const PORT = 5000;

/** The origin of several hosts: a real registry on a host of its own, whose bytes are counted on its link. */
export interface HostOrigin extends AsyncDisposable {
  readonly url: string;
  /** What it has sent so far, whatever for. */
  sent(): Promise<Traffic>;
  /** Makes an image of about this size that no host has, and puts it in. */
  push(name: string, bytes: number): Promise<HostImage>;
  stop(): Promise<void>;
  startAgain(): Promise<void>;
}

export interface HostImage {
  readonly repository: string;
  readonly tag: string;
  readonly image: Image;
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
  const begin = (): Promise<Running> =>
    start({
      ...commandAt(port.inside, 'docker-registry', ['serve', file]),
      env: { OTEL_TRACES_EXPORTER: 'none' },
      log: join(folder, 'registry.log'),
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
      return { repository, tag: '1', image: made, bytes: blobBytes(made) };
    },
    // At once: an origin that fails does not say goodbye.
    stop: () => registry.kill(),
    startAgain: async () => {
      registry = await begin();
    },
    [Symbol.asyncDispose]: () => registry.kill(),
  };
}

function imageOf(name: string, bytes: number): Image {
  const busybox = busyboxLayer();
  const sizes = LAYER_SHARES.map((share) => Math.round(bytes * share));
  const rest = bytes - busybox.bytes.length - sizes.reduce((sum, size) => sum + size, 0);
  const layers = [...sizes, Math.max(rest, MIB / 16)].map((size, at) => noiseLayer(`${name}-${at}`, size));
  return image([busybox, ...layers], 'oci');
}
