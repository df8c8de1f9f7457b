import {
  type BlobStore,
  type Catalog,
  type Digest,
  describe,
  isFailure,
  type Pulls,
  type Remote,
  type Report,
} from '@drayage/core';
import type { Child } from '../origin/manifest.ts';
import { setBounded } from './flight.ts';

/** Fetches the layers of an image before they are asked for: who lacks one lacks those above it as well. */
export interface Prefetch extends AsyncDisposable {
  /** A repository showed the manifest of an image. Its layers, the lowest first. */
  saw(repository: string, manifest: Digest, layers: readonly Child[]): void;
  /** A client reads a blob whole: the layers above follow, until what this gives is called and no other comes for a while. */
  follow(blob: Followed): () => void;
}

interface Followed {
  readonly repository: string;
  readonly digest: Digest;
  /** The repository as the client that asked may see it. */
  readonly remote: Remote;
}

export interface PrefetchParts {
  readonly pulls: Pulls;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly report: Report;
  readonly lingerMs?: number;
}

const IMAGES_MAX = 64;
/** Fills of this host that nobody has asked for yet. */
const AHEAD_MAX = 3;
/** A client unpacks a layer before it asks for the next: so long it counts as still pulling. */
const LINGER_MS = 30_000;

interface Image {
  readonly repository: string;
  readonly layers: readonly Digest[];
  /** Layers that a client came for itself. */
  readonly asked: Set<Digest>;
  readers: number;
  linger: NodeJS.Timeout | undefined;
  /** The layers being fetched ahead for whoever reads; undefined while nobody does. */
  round: Round | undefined;
}

interface Round {
  readonly remote: Remote;
  readonly stop: AbortController;
  /** Where in the layers to go on. */
  next: number;
}

interface Layer {
  readonly round: Round;
  readonly digest: Digest;
  readonly size: number;
}

export function openPrefetch(parts: PrefetchParts): Prefetch {
  const { store, catalog, lingerMs = LINGER_MS } = parts;
  const images = new Map<string, Image>();
  const active = new Set<Image>();
  const running = new Set<Promise<void>>();
  let isClosed = false;

  function end(image: Image): void {
    clearTimeout(image.linger);
    image.round?.stop.abort(new Error('nobody pulls the image any more'));
    image.round = undefined;
    image.asked.clear();
    active.delete(image);
  }

  /** The lowest layer that is neither here nor asked for; the image that was begun first comes first. */
  function nextLayer(): Layer | undefined {
    for (const { layers, asked, round } of active) {
      while (round && round.next < layers.length) {
        const digest = layers[round.next++];
        if (digest === undefined || asked.has(digest) || store.sizeOf(digest) !== undefined) continue;
        const size = catalog.facts(digest)?.size;
        if (size !== undefined) return { round, digest, size };
      }
    }
    return undefined;
  }

  function fetchAhead(): void {
    while (!isClosed && running.size < AHEAD_MAX) {
      const layer = nextLayer();
      if (!layer) return;
      const job = fetchOne(parts, layer).finally(() => {
        running.delete(job);
        fetchAhead();
      });
      running.add(job);
    }
  }

  return {
    saw(repository, manifest, children) {
      const layers = children.filter(({ isForeign }) => !isForeign).map(({ digest }) => digest);
      const key = `${repository}@${manifest}`;
      setBounded(images, [key, images.get(key) ?? newImage(repository, layers)], IMAGES_MAX);
    },
    follow({ repository, digest, remote }) {
      const image = [...images.values()]
        .reverse()
        .find((one) => one.repository === repository && one.layers.includes(digest));
      if (!image || isClosed) return () => {};
      clearTimeout(image.linger);
      image.readers++;
      image.asked.add(digest);
      const above = image.layers.indexOf(digest) + 1;
      image.round ??= { remote, stop: new AbortController(), next: above };
      active.add(image);
      fetchAhead();
      return () => {
        image.readers--;
        if (image.readers === 0) image.linger = setTimeout(end, lingerMs, image).unref();
      };
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      for (const image of active) end(image);
      await Promise.all(running);
    },
  };
}

function newImage(repository: string, layers: readonly Digest[]): Image {
  return { repository, layers, asked: new Set(), readers: 0, linger: undefined, round: undefined };
}

/** Never rejects: a client that wants the layer will find out for itself. */
async function fetchOne({ pulls, report }: PrefetchParts, { round, digest, size }: Layer): Promise<void> {
  const { remote, stop } = round;
  try {
    const isKept = await pulls.keep({ digest, size, remote }, stop.signal);
    const outcome = isKept ? 'kept' : stop.signal.aborted ? 'stopped' : 'failed';
    if (!isKept) round.next = Number.POSITIVE_INFINITY;
    report({ kind: 'prefetch', outcome, digest, problem: undefined });
  } catch (error) {
    // What failed once is left to the client, and so is all above it.
    round.next = Number.POSITIVE_INFINITY;
    report({ kind: 'prefetch', outcome: 'failed', digest, problem: describe(error) });
    if (!isFailure(error)) report({ kind: 'error', where: 'prefetch', problem: describe(error) });
  }
}
