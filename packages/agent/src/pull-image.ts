import {
  type BlobStore,
  type Catalog,
  type Digest,
  Failure,
  type Pulls,
  parseDigest,
  parseReference,
  type Reference,
  repositoryKey,
  type Source,
} from '@drayage/core';
import { checkManifest, type OriginRepository, type Origins, type Policies } from '@drayage/registry';
import { type CheckedManifest, heldManifest } from './held-manifest.ts';
import { choose, formatPlatform, ownPlatform, type Platform, parsePlatform, readIndex } from './image.ts';
import type { EventSink } from './sse.ts';

export interface ImageParts {
  readonly origins: Origins;
  readonly policies: Policies;
  readonly pulls: Pulls;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly defaultOrigin: string;
  readonly now: () => number;
}

/** What somebody wants fetched; no platform means this machine's, `all` every one. */
export interface ImageRequest {
  readonly reference: string;
  readonly platform: string | undefined;
}

/** How far one blob is. */
export interface BlobProgress {
  readonly digest: Digest;
  readonly size: number;
  bytes: number;
  source: Source | undefined;
}

const BLOBS_AT_ONCE = 4;
const READ_BYTES = 1024 * 1024;
const PROGRESS_MS = 100;

interface Pulling extends ImageParts {
  readonly reference: Reference;
  readonly key: string;
  readonly repository: OriginRepository;
  readonly isPublic: boolean;
}

/** Fetches an image into the store: its manifests, then every blob of them; `sink` hears of it all, up to `done`. */
export async function pullImage(request: ImageRequest, parts: ImageParts, sink: EventSink): Promise<void> {
  const startedAt = parts.now();
  const pulling = begin(request, parts);
  const wanted = request.platform === undefined ? ownPlatform() : undefined;
  const platform =
    request.platform === undefined || request.platform === 'all' ? wanted : parsePlatform(request.platform);
  const { digest, blobs } = await resolve(pulling, platform, sink.signal);
  const name = { reference: request.reference, digest };
  sink.tell('image', { ...name, platform: platform && formatPlatform(platform), blobs: blobs.map(brief) });

  const progress = setInterval(() => sink.progress('progress', { blobs: blobs.map(brief) }), PROGRESS_MS);
  try {
    await fetchAll(blobs, pulling, sink.signal);
  } finally {
    clearInterval(progress);
  }
  const bytesFrom: Partial<Record<Source, number>> = {};
  for (const { source = 'mixed', bytes } of blobs) bytesFrom[source] = (bytesFrom[source] ?? 0) + bytes;
  sink.tell('progress', { blobs: blobs.map(brief) });
  sink.tell('done', { ...name, seconds: (parts.now() - startedAt) / 1000, bytesFrom });
}

function begin(request: ImageRequest, parts: ImageParts): Pulling {
  const reference = parseReference(request.reference, parts.defaultOrigin);
  const { origin, path } = reference.repository;
  const { access } = parts.policies.for(reference.repository);
  if (access === 'bypass') {
    throw new Failure('unsupported', `${repositoryKey(reference.repository)} is set to bypass this agent`);
  }
  // What is only fetched is shown to nobody: whoever asks for it later still has to prove a right to it.
  const isPublic = access === 'public';
  const repository = parts.origins.repository(origin, path, { kind: isPublic ? 'anonymous' : 'agent' });
  return { ...parts, reference, key: repositoryKey(reference.repository), repository, isPublic };
}

interface Resolved {
  readonly digest: Digest;
  readonly blobs: readonly BlobProgress[];
}

async function resolve(pulling: Pulling, platform: Platform | undefined, signal: AbortSignal): Promise<Resolved> {
  const { reference, catalog, key } = pulling;
  const top = await manifest(pulling, reference.digest ?? reference.tag ?? 'latest', signal);
  if (reference.tag !== undefined && !reference.digest) catalog.rememberTag(key, reference.tag, top.digest);

  const images = top.kind === 'index' ? await imagesOf(top, platform, pulling, signal) : [top];
  const blobs = new Map<Digest, BlobProgress>();
  for (const { digest, size } of images.flatMap(({ children }) => children)) {
    blobs.set(digest, { digest, size, bytes: 0, source: undefined });
  }
  return { digest: top.digest, blobs: [...blobs.values()] };
}

async function imagesOf(
  index: CheckedManifest,
  platform: Platform | undefined,
  pulling: Pulling,
  signal: AbortSignal,
): Promise<readonly CheckedManifest[]> {
  const manifests = readIndex(index.bytes);
  const chosen = platform ? choose(manifests, platform) : manifests;
  if (chosen.length === 0) {
    const offered = manifests.flatMap((entry) => (entry.platform ? formatPlatform(entry.platform) : []));
    const wanted = platform ? ` for ${formatPlatform(platform)}` : '';
    throw new Failure(
      'manifest_unknown',
      `the image has no manifest${wanted}; it offers ${offered.join(', ') || 'none'}`,
    );
  }
  const images: CheckedManifest[] = [];
  for (const { digest } of chosen) images.push(await manifest(pulling, digest, signal));
  return images;
}

async function manifest(pulling: Pulling, reference: string, signal: AbortSignal): Promise<CheckedManifest> {
  const { repository, store, catalog, key } = pulling;
  const known = parseDigest(reference);
  const held = known && catalog.belongs(known, key) ? await heldManifest(known, pulling, signal) : undefined;
  if (held) return held;
  const found = await repository.getManifest(reference, undefined, signal);
  if (!found) throw new Failure('manifest_unknown', `${key} has no manifest ${reference}`);
  if (pulling.isPublic) catalog.rememberPublic(key);
  const { digest, mediaType, bytes } = found;
  const checked = checkManifest(bytes, mediaType);
  await store.put(digest, bytes);
  catalog.note(digest, { repository: key, mediaType, size: bytes.length });
  for (const { digest: part, mediaType: type, size, isForeign } of checked.children) {
    // An origin need not hold such a layer to take a manifest that names it.
    if (!isForeign) catalog.note(part, { repository: key, mediaType: type, size });
  }
  return { ...checked, digest, bytes };
}

async function fetchAll(blobs: readonly BlobProgress[], pulling: Pulling, signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const waiting = [...blobs];
  const worker = async () => {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    for (let blob = waiting.shift(); blob; blob = waiting.shift()) await fetchOne(blob, buffer, pulling, either);
  };
  const workers = Array.from({ length: Math.min(BLOBS_AT_ONCE, blobs.length) }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(workers);
  if (failed.signal.aborted) throw failed.signal.reason;
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function fetchOne(progress: BlobProgress, buffer: Buffer, pulling: Pulling, signal: AbortSignal): Promise<void> {
  const { digest, size } = progress;
  await using blob = await pulling.pulls.open({ digest, size, remote: pulling.repository }, signal);
  if (!blob) throw new Failure('blob_unknown', `${pulling.key} has no blob ${digest}`);
  while (progress.bytes < size) {
    const read = await blob.read(buffer, progress.bytes, signal);
    if (read === 0) throw new Failure('blob_corrupt', `${digest} ended after ${progress.bytes} of ${size} bytes`);
    progress.bytes += read;
    progress.source = blob.source;
  }
  progress.source = blob.source;
}

function brief({ digest, size, bytes, source }: BlobProgress): BlobProgress {
  return { digest, size, bytes, source };
}
