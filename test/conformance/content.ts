import { createHash } from 'node:crypto';
import type { Digest } from '@drayage/core';
import {
  type Artifact,
  type Blob,
  type Document,
  documentOf,
  image,
  index,
  MIB,
  noiseLayer,
  push,
  pushBlob,
  pushManifest,
  single,
} from '../lab/images.ts';

export const REPOSITORY = 'library/conformance';
export const OTHER_REPOSITORY = 'library/other';
/** A repository with these tags and no others. */
export const TAGGED_REPOSITORY = 'library/tagged';
export const TAGS: readonly string[] = ['alpha', 'beta', 'delta', 'gamma', 'v1'];

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';
const LARGE_BYTES = 3 * MIB;

/** What the checks look for in the origin. */
export interface Content {
  readonly image: Artifact;
  readonly documents: Readonly<Record<string, Document>>;
  readonly blobs: Readonly<Record<string, Blob>>;
  /** An artifact and the two that refer to it, and the index that lists them where the origin has no referrers. */
  readonly referrers: { readonly subject: Digest; readonly index: Document; readonly signature: Digest };
  /** A blob under its SHA-512 name; undefined when the origin does not take such. */
  readonly sha512: Blob | undefined;
}

/** Puts everything the checks need into the origin. */
export async function pushContent(registry: string): Promise<Content> {
  const layers = [noiseLayer('conformance-a', 100_000), noiseLayer('conformance-b', 2000)];
  const oci = image(layers, 'oci');
  await push(registry, REPOSITORY, 'v1', single(oci));
  for (const tag of TAGS) await push(registry, TAGGED_REPOSITORY, tag, single(oci));
  const docker = single(image(layers, 'docker'));
  await push(registry, REPOSITORY, 'docker', docker);
  const ociIndex = index([oci, image(layers, 'oci', 'arm64')], 'oci');
  await push(registry, REPOSITORY, 'oci-index', ociIndex);
  const dockerList = index([image(layers, 'docker'), image(layers, 'docker', 'arm64')], 'docker');
  await push(registry, REPOSITORY, 'docker-list', dockerList);

  const empty = blobOf(Buffer.from('{}'));
  const nothing = blobOf(Buffer.alloc(0));
  for (const blob of [empty, nothing]) await pushBlob(registry, REPOSITORY, blob);
  const artifact = await pushDocument(registry, 'artifact', artifactOf('application/vnd.example.thing', empty));
  const large = await pushDocument(
    registry,
    'large',
    documentOf(MANIFEST, {
      ...JSON.parse(oci.manifest.bytes.toString()),
      annotations: { text: 'x'.repeat(LARGE_BYTES) },
    }),
  );
  const nested = await pushDocument(registry, 'nested', indexOf([ociIndex.top]));
  return {
    image: single(oci),
    documents: {
      'oci-manifest': oci.manifest,
      'docker-manifest': docker.top,
      'oci-index': ociIndex.top,
      'docker-list': dockerList.top,
      artifact,
      'large manifest': large,
      'nested index': nested,
    },
    blobs: { layer: layers[0] as Blob, config: oci.config, 'empty descriptor': empty, 'zero bytes': nothing },
    referrers: await pushReferrers(registry, oci.manifest, empty),
    sha512: await pushSha512(registry),
  };
}

async function pushReferrers(registry: string, subject: Document, empty: Blob): Promise<Content['referrers']> {
  const signature = artifactOf('application/vnd.example.signature', empty, subject);
  const bill = artifactOf('application/vnd.example.bill', empty, subject);
  for (const document of [signature, bill]) await pushManifest(registry, REPOSITORY, document.digest, document);
  const fallback = indexOf([signature, bill]);
  await pushManifest(registry, REPOSITORY, subject.digest.replace(':', '-'), fallback);
  return { subject: subject.digest, index: fallback, signature: signature.digest };
}

async function pushSha512(registry: string): Promise<Blob | undefined> {
  const bytes = Buffer.from('named by sha512');
  const blob: Blob = { bytes, digest: `sha512:${createHash('sha512').update(bytes).digest('hex')}` };
  try {
    await pushBlob(registry, REPOSITORY, blob);
    return blob;
  } catch {
    return undefined;
  }
}

async function pushDocument(registry: string, tag: string, document: Document): Promise<Document> {
  await pushManifest(registry, REPOSITORY, tag, document);
  return document;
}

function artifactOf(artifactType: string, empty: Blob, subject?: Document): Document {
  const descriptor = { mediaType: EMPTY, digest: empty.digest, size: empty.bytes.length };
  return documentOf(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType,
    config: descriptor,
    layers: [descriptor],
    ...(subject && { subject: descriptorOf(subject) }),
  });
}

function indexOf(documents: readonly Document[]): Document {
  const manifests = documents.map((document) => ({
    ...descriptorOf(document),
    artifactType: JSON.parse(document.bytes.toString()).artifactType,
  }));
  return documentOf(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
}

function descriptorOf({ mediaType, digest, bytes }: Document): object {
  return { mediaType, digest, size: bytes.length };
}

function blobOf(bytes: Buffer): Blob {
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
}
