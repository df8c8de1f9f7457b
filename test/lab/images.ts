import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type Digest, sha256 } from '@drayage/core';
import { type File, noise, tar } from './tar.ts';

const KIB = 1024;
export const MIB: number = 1024 * KIB;

export const HELLO = 'hello from the lab';

/** Media types of the two dialects that images are written in. */
const DIALECTS = {
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
} as const;

export type Dialect = keyof typeof DIALECTS;

export interface Blob {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface Layer extends Blob {
  /** The digest of the archive before compression. */
  readonly diff: Digest;
}

export interface Document extends Blob {
  readonly mediaType: string;
}

/** An image of one platform. */
export interface Image {
  readonly manifest: Document;
  readonly config: Blob;
  readonly layers: readonly Layer[];
  readonly architecture: string;
}

/** What a tag points at: one manifest, or an index of several. */
export interface Artifact {
  readonly top: Document;
  readonly images: readonly Image[];
}

function layer(files: readonly File[]): Layer {
  const archive = tar(files);
  const bytes = gzipSync(archive, { level: 0 });
  return { digest: sha256(bytes), bytes, diff: sha256(archive) };
}

/** A layer with one file of noise. */
export function noiseLayer(name: string, bytes: number): Layer {
  return layer([{ path: `${name}.bin`, mode: 0o644, bytes: noise(bytes, name) }]);
}

/** A layer that lets the image say hello; with a mark, one that no other image has. */
export function busyboxLayer(mark = ''): Layer {
  const busybox = { path: 'bin/busybox', mode: 0o755, bytes: readFileSync('/bin/busybox') };
  return layer(mark === '' ? [busybox] : [busybox, { path: 'mark', mode: 0o644, bytes: Buffer.from(mark) }]);
}

export function image(layers: readonly Layer[], dialect: Dialect, architecture = 'amd64'): Image {
  const types = DIALECTS[dialect];
  const config = blobOf({
    architecture,
    os: 'linux',
    config: { Cmd: ['/bin/busybox', 'echo', HELLO] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diff }) => diff) },
    history: layers.map((_, step) => ({ created_by: `step ${step}` })),
  });
  const manifest = documentOf(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, size: config.bytes.length, digest: config.digest },
    layers: layers.map(({ digest, bytes }) => ({ mediaType: types.layer, size: bytes.length, digest })),
  });
  return { manifest, config, layers, architecture };
}

export function single(one: Image): Artifact {
  return { top: one.manifest, images: [one] };
}

export function index(images: readonly Image[], dialect: Dialect): Artifact {
  const mediaType = DIALECTS[dialect].index;
  const manifests = images.map(({ manifest, architecture }) => ({
    mediaType: manifest.mediaType,
    size: manifest.bytes.length,
    digest: manifest.digest,
    platform: { architecture, os: 'linux' },
  }));
  return { top: documentOf(mediaType, { schemaVersion: 2, mediaType, manifests }), images };
}

/** The image of this architecture in an artifact. */
export function imageFor({ images }: Artifact, architecture = 'amd64'): Image {
  const found = images.find((one) => one.architecture === architecture);
  if (!found) throw new Error(`the artifact has no image for ${architecture}`);
  return found;
}

/** Bytes of the blobs of an image: its layers and its configuration. */
export function blobBytes({ layers, config }: Image): number {
  return layers.reduce((sum, { bytes }) => sum + bytes.length, config.bytes.length);
}

/** Puts an artifact into a registry under a tag. */
export async function push(registry: string, repository: string, tag: string, artifact: Artifact): Promise<void> {
  for (const { config, layers, manifest } of artifact.images) {
    for (const blob of [...layers, config]) await pushBlob(registry, repository, blob);
    await pushManifest(registry, repository, manifest.digest, manifest);
  }
  await pushManifest(registry, repository, tag, artifact.top);
}

export async function pushBlob(registry: string, repository: string, { digest, bytes }: Blob): Promise<void> {
  const blobs = `${registry}/v2/${repository}/blobs`;
  if ((await fetch(`${blobs}/${digest}`, { method: 'HEAD' })).ok) return;
  const begun = await fetch(`${blobs}/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', registry);
  location.searchParams.set('digest', digest);
  const done = await fetch(location, { method: 'PUT', body: new Uint8Array(bytes) });
  if (done.status !== 201) throw new Error(`the registry refused ${digest}: ${done.status} ${await done.text()}`);
}

export async function pushManifest(
  registry: string,
  repository: string,
  reference: string,
  { mediaType, bytes }: Document,
): Promise<void> {
  const address = `${registry}/v2/${repository}/manifests/${reference}`;
  const done = await fetch(address, {
    method: 'PUT',
    body: new Uint8Array(bytes),
    headers: { 'content-type': mediaType },
  });
  if (done.status !== 201) throw new Error(`the registry refused ${reference}: ${done.status} ${await done.text()}`);
}

export function documentOf(mediaType: string, content: object): Document {
  return { ...blobOf(content), mediaType };
}

function blobOf(content: object): Blob {
  const bytes = Buffer.from(JSON.stringify(content));
  return { digest: sha256(bytes), bytes };
}
