import { BLOB_BYTES_MAX, type Digest, Failure, parseDigest } from '@drayage/core';
import { field, isObject, list, number, parseObject, text } from './json.ts';

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json';
const FOREIGN_TYPE = /nondistributable|foreign/;
const CHILDREN_MAX = 4096;
const DEPTH_KEYS: readonly string[] = ['mediaType', 'schemaVersion', 'manifests', 'config', 'layers', 'fsLayers'];

/** The manifests that are understood, in the order they are asked for. */
export const MANIFEST_TYPES: readonly string[] = [OCI_INDEX, OCI_IMAGE, DOCKER_LIST, DOCKER_IMAGE];

/** A blob or manifest that a manifest names. */
export interface Child {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** It is to be had elsewhere than at the origin, by its licence: naming it does not mean that the origin holds it. */
  readonly isForeign: boolean;
}

export interface CheckedManifest {
  readonly kind: 'index' | 'image' | 'other';
  /** What belongs to the repository because this manifest does: an index's manifests, an image's config and layers. */
  readonly children: readonly Child[];
}

/** What a manifest says, read in the one way its type allows. Throws `manifest_invalid` when it could be read in two. */
export function checkManifest(bytes: Uint8Array, contentType: string): CheckedManifest {
  const document = parseUtf8(bytes);
  const inside = text(document, 'mediaType');
  if (inside !== undefined && inside !== contentType) throw invalid('its mediaType is not the type it was sent as');
  const keys = unambiguousKeys(document);
  const isIndexLike = keys.has('manifests');
  const isImageLike = keys.has('config') || keys.has('layers');
  if (isIndexLike && isImageLike) throw invalid('it can be read as an index and as an image');
  if (!MANIFEST_TYPES.includes(contentType)) return { kind: 'other', children: [] };
  if (number(document, 'schemaVersion') !== 2 || keys.has('fsLayers')) throw invalid('its schemaVersion is not 2');

  if (contentType === OCI_INDEX || contentType === DOCKER_LIST) {
    if (isImageLike) throw invalid('it was sent as an index but is an image');
    return { kind: 'index', children: childrenOf(list(document, 'manifests')) };
  }
  if (isIndexLike) throw invalid('it was sent as an image but is an index');
  const layers = list(document, 'layers');
  return { kind: 'image', children: childrenOf(layers && [field(document, 'config'), ...layers]) };
}

function parseUtf8(bytes: Uint8Array): object {
  const decoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  const document = parseObject(decoded);
  if (!document) throw invalid('it is no JSON object');
  return document;
}

/** Some readers match keys in any case, and the last of equals wins; a document that needs such luck is refused. */
function unambiguousKeys(document: object): ReadonlySet<string> {
  const fold = (key: string) => key.toUpperCase().toLowerCase();
  const known = new Map(DEPTH_KEYS.map((key) => [fold(key), key]));
  const keys = Object.keys(document);
  const twisted = keys.find((key) => (known.get(fold(key)) ?? key) !== key);
  if (twisted !== undefined) throw invalid('a key of it is written in the wrong case');
  return new Set(keys);
}

function childrenOf(descriptors: readonly unknown[] | undefined): readonly Child[] {
  if (!descriptors) throw invalid('it lists nothing');
  if (descriptors.length > CHILDREN_MAX) throw invalid(`it lists more than ${CHILDREN_MAX} blobs`);
  return descriptors.map((descriptor) => {
    const from = isObject(descriptor) ? descriptor : undefined;
    const digest = parseDigest(text(from, 'digest') ?? '');
    const size = number(from, 'size') ?? -1;
    const mediaType = text(from, 'mediaType') ?? '';
    if (!digest) throw invalid('a digest in it is malformed');
    if (!Number.isInteger(size) || size < 0 || size > BLOB_BYTES_MAX) throw invalid('a size in it is malformed');
    if (!/^[\x21-\x7e]{1,255}$/.test(mediaType)) throw invalid('a media type in it is malformed');
    const isForeign = FOREIGN_TYPE.test(mediaType) || (list(from, 'urls') ?? []).length > 0;
    return { digest, size, mediaType, isForeign };
  });
}

function invalid(why: string): Failure {
  return new Failure('manifest_invalid', `the manifest is refused: ${why}`);
}
