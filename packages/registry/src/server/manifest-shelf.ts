import {
  type BlobStore,
  type Catalog,
  type Digest,
  Failure,
  isFailure,
  matches,
  type Report,
  type Source,
} from '@drayage/core';
import { type CheckedManifest, checkManifest, MANIFEST_TYPES } from '../origin/manifest.ts';
import type { Caller, Manifest, OriginRepository } from '../origin/types.ts';
import { orAbort, singleFlight, within } from './flight.ts';

/** Manifests by digest: from the disk where the repository is known to hold them, else from the origin. */
export interface Shelf {
  /** The manifest on this disk. Undefined when it is not here, or not known to be the repository's. */
  held(place: Place, digest: Digest): Promise<Known | undefined>;
  /** The manifest from the origin, kept for the next time. */
  fetched(place: Place, digest: Digest, signal: AbortSignal): Promise<Known>;
}

/** A repository and the caller in whose name it is read. */
export interface Place {
  readonly key: string;
  readonly remote: OriginRepository;
  readonly caller: Caller;
}

/** What is known of a manifest: its bytes, or only what the origin says of them. */
export interface Known {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly bytes: Buffer | undefined;
  readonly source: Source;
}

export interface ShelfParts {
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly report: Report;
}

export const MANIFEST_WAIT_MS = 8_000;
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const INDEX_TYPE = /index|list/;

interface Read extends Known {
  readonly children: CheckedManifest['children'];
}

/** Keeps manifests, and notes which blobs a repository holds because its manifests name them. */
export function openShelf({ store, catalog, report }: ShelfParts): Shelf {
  const reads = singleFlight<Read | undefined>();
  const fetches = singleFlight<Read>();

  return {
    async held({ key }, digest) {
      if (!catalog.belongs(digest, key)) return undefined;
      const read = await reads(digest, () => readHeld(digest));
      if (read) note(key, read);
      return read;
    },
    fetched(place, digest, signal) {
      const { key, caller } = place;
      return orAbort(
        fetches(`${caller.kind} ${key}@${digest}`, () => fetchAndKeep(place, digest)),
        signal,
      );
    },
  };

  async function readHeld(digest: Digest): Promise<Read | undefined> {
    try {
      const bytes = await readWhole(store, digest);
      if (!bytes) return undefined;
      const mediaType = typeOf(bytes, catalog.facts(digest)?.mediaType);
      if (mediaType === undefined) return undefined;
      const { children } = checkManifest(bytes, mediaType);
      return { digest, mediaType, size: bytes.length, bytes, source: 'disk', children };
    } catch (error) {
      // The origin may do better than this disk.
      if (isFailure(error)) return undefined;
      throw error;
    }
  }

  async function fetchAndKeep(place: Place, digest: Digest): Promise<Read> {
    const { mediaType, bytes } = await getManifest(place, digest, undefined);
    if (!matches(bytes, digest)) {
      report({ kind: 'corrupt', where: 'origin', digest, detail: `${place.key} sent another manifest` });
      throw new Failure('manifest_invalid', `${place.key} sent another manifest than ${digest}`);
    }
    const { children } = checkManifest(bytes, mediaType);
    const read: Read = { digest, mediaType, size: bytes.length, bytes, source: 'origin', children };
    note(place.key, read);
    await store.put(digest, bytes);
    return read;
  }

  function note(repository: string, { digest, mediaType, size, children }: Read): void {
    catalog.note(digest, { repository, mediaType, size });
    for (const child of children) {
      catalog.note(child.digest, { repository, mediaType: child.mediaType, size: child.size });
    }
  }
}

/** The manifest as the origin sends it for this Accept. Throws `manifest_unknown` when it has none. */
export async function getManifest(
  { key, remote }: Place,
  reference: string,
  accept: string | undefined,
): Promise<Manifest> {
  const read = (late: AbortSignal) => remote.getManifest(reference, accept, late);
  const manifest = await within(MANIFEST_WAIT_MS, `reading ${key} ${reference}`, read);
  if (!manifest) throw new Failure('manifest_unknown', `${key} has no manifest ${reference}`);
  return manifest;
}

async function readWhole(store: BlobStore, digest: Digest): Promise<Buffer | undefined> {
  await using blob = await store.open(digest);
  if (!blob || blob.size > MANIFEST_BYTES_MAX) return undefined;
  const bytes = Buffer.allocUnsafe(blob.size);
  const late = AbortSignal.timeout(MANIFEST_WAIT_MS);
  for (let offset = 0; offset < bytes.length; ) {
    const count = await blob.read(bytes.subarray(offset), offset, late);
    if (count === 0) return undefined;
    offset += count;
  }
  return matches(bytes, digest) ? bytes : undefined;
}

/**
 * What kind of manifest a document is. Its own word counts first, since what others said of a digest may be wrong.
 * Undefined when it is none; whether it is sound is for the check to say.
 */
function typeOf(bytes: Buffer, told: string | undefined): string | undefined {
  const document = parseObject(bytes);
  const isIndex = Array.isArray(document['manifests']);
  if (!isIndex && !Array.isArray(document['layers'])) return undefined;
  const named = document['mediaType'] ?? told;
  const fitting = MANIFEST_TYPES.filter((type) => INDEX_TYPE.test(type) === isIndex);
  return fitting.find((type) => type === named) ?? fitting.find((type) => type.includes('.oci.'));
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(bytes.toString());
    return typeof document === 'object' && document !== null ? { ...document } : {};
  } catch {
    return {};
  }
}
