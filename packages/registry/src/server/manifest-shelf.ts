import {
  type BlobStore,
  type Catalog,
  type Digest,
  describe,
  Failure,
  isFailure,
  type Members,
  matches,
  type Report,
} from '@drayage/core';
import { type Child, checkManifest } from '../origin/manifest.ts';
import { type Caller, callerKey, type Manifest, type OriginRepository } from '../origin/types.ts';
import { orAbort, singleFlight, within } from './flight.ts';
import { askOrHear, type Hearsay } from './hearsay.ts';
import { type Known, MANIFEST_WAIT_MS, type Read, readBytes, readHeld } from './manifest-read.ts';

/** Manifests by digest: from the disk where the repository is known to hold them, from other members, or from the origin. */
export interface Shelf {
  /** The manifest on this disk. Undefined when it is not here, or not known to be the repository's. */
  held(place: Place, digest: Digest): Promise<Known | undefined>;
  /** The manifest from other members, kept. Undefined when none gives it, or the repository is not known to hold it. */
  shared(place: Place, digest: Digest, signal: AbortSignal): Promise<Known | undefined>;
  /** The manifest from the origin, kept for the next time. */
  fetched(place: Place, digest: Digest, signal: AbortSignal): Promise<Known>;
}

/** A repository and the caller in whose name it is read. */
export interface Place {
  readonly key: string;
  readonly remote: OriginRepository;
  readonly caller: Caller;
}

export interface ShelfParts {
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly members: Members | undefined;
  readonly hearsay: Hearsay;
  /** Told of every image that is looked at. */
  readonly saw: (repository: string, manifest: Digest, layers: readonly Child[]) => void;
  readonly report: Report;
}

/** Members are fast or of no use. */
const MEMBERS_WAIT_MS = 2_000;
const BELONGS_WAIT_MS = 4_000;

/** Keeps manifests, and notes which blobs a repository holds because its manifests name them. */
export function openShelf(parts: ShelfParts): Shelf {
  const { store, catalog, hearsay, saw, report } = parts;
  const reads = singleFlight<Read | undefined>();
  const gifts = singleFlight<Read | undefined>();
  const fetches = singleFlight<Read>();

  return {
    async held({ key }, digest) {
      if (!catalog.belongs(digest, key) && !hearsay.belongs(digest, key)) return undefined;
      const read = await reads(digest, () => readHeld(parts, digest));
      if (read) note(key, read);
      return read;
    },
    shared(place, digest, signal) {
      const { key, caller } = place;
      return orAbort(
        gifts(`${callerKey(caller)} ${key}@${digest}`, () => takeAndKeep(place, digest)),
        signal,
      );
    },
    fetched(place, digest, signal) {
      const { key, caller } = place;
      return orAbort(
        fetches(`${callerKey(caller)} ${key}@${digest}`, () => fetchAndKeep(place, digest)),
        signal,
      );
    },
  };

  async function takeAndKeep(place: Place, digest: Digest): Promise<Read | undefined> {
    // Another repository may have brought it here.
    const read = (await reads(digest, () => readHeld(parts, digest))) ?? (await readShared(parts, place, digest));
    if (!read || !(await isOf(parts, place, digest))) return undefined;
    note(place.key, read);
    if (read.source === 'peer' && read.bytes) await store.put(digest, read.bytes);
    return read;
  }

  async function fetchAndKeep(place: Place, digest: Digest): Promise<Read> {
    const { key, remote } = place;
    const answer = getManifest(place, digest, undefined);
    const { mediaType, bytes } = await hearsay.silence.watch({ origin: remote.origin, key }, answer);
    if (!matches(bytes, digest)) {
      report({ kind: 'corrupt', where: 'origin', digest, detail: `${place.key} sent another manifest` });
      throw new Failure('manifest_invalid', `${place.key} sent another manifest than ${digest}`);
    }
    const checked = checkManifest(bytes, mediaType);
    catalog.note(digest, { repository: key, mediaType, size: bytes.length });
    const read: Read = { digest, mediaType, size: bytes.length, bytes, source: 'origin', checked };
    note(key, read);
    await store.put(digest, bytes);
    return read;
  }

  function note(repository: string, { digest, mediaType, size, checked: { kind, children } }: Read): void {
    if (catalog.belongs(digest, repository)) {
      catalog.note(digest, { repository, mediaType, size });
      for (const child of children) {
        // An origin takes any digest there without holding it: to name it is no right to read it.
        if (child.isForeign) continue;
        catalog.note(child.digest, { repository, mediaType: child.mediaType, size: child.size });
      }
    } else {
      hearsay.extend(
        repository,
        children.filter(({ isForeign }) => !isForeign),
      );
    }
    // The first that an image names is its config.
    if (kind === 'image') saw(repository, digest, children.slice(1));
  }
}

async function readShared(
  { members, catalog, report }: ShelfParts,
  { remote: { origin } }: Place,
  digest: Digest,
): Promise<Read | undefined> {
  const late = AbortSignal.timeout(MEMBERS_WAIT_MS);
  try {
    const bytes = await members?.fetchSmall(digest, late);
    if (!bytes) return undefined;
    report({ kind: 'fetched', from: 'peer', origin, bytes: bytes.length });
    return readBytes(bytes, { digest, source: 'peer' }, catalog.facts(digest)?.mediaType);
  } catch (error) {
    // The origin may do better than the members; a fault of ours must not cost the client its pull.
    if (!isFailure(error) && !late.aborted) report({ kind: 'error', where: 'members', problem: describe(error) });
    return undefined;
  }
}

/** Whether the repository holds the manifest. Having its bytes is no right to show them under any name. */
async function isOf({ catalog, hearsay }: ShelfParts, place: Place, digest: Digest): Promise<boolean> {
  const { key, remote } = place;
  if (catalog.belongs(digest, key) || hearsay.belongs(digest, key)) return true;
  const head = (late: AbortSignal) => remote.headManifest(digest, late);
  const ask = () => within(BELONGS_WAIT_MS, `asking for ${key}@${digest}`, head);
  const said = await askOrHear(hearsay, { ...place, digest }, ask, AbortSignal.timeout(MANIFEST_WAIT_MS));
  if (said === 'heard' || !said) return said === 'heard';
  catalog.note(digest, { repository: key, mediaType: said.mediaType, size: said.size });
  return true;
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
