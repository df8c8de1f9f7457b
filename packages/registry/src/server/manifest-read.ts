import { type BlobStore, type Catalog, type Digest, isFailure, matches, type Source } from '@drayage/core';
import { type CheckedManifest, checkManifest, MANIFEST_TYPES } from '../origin/manifest.ts';

/** What is known of a manifest: its bytes, or only what the origin says of them. */
export interface Known {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly bytes: Buffer | undefined;
  readonly source: Source;
}

/** A manifest that was read and understood. */
export interface Read extends Known {
  readonly checked: CheckedManifest;
}

export const MANIFEST_WAIT_MS = 8_000;
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const INDEX_TYPE = /index|list/;

/** The manifest as this disk has it. Undefined when it is not here, or is nothing that could be understood. */
export async function readHeld(
  { store, catalog }: { readonly store: BlobStore; readonly catalog: Catalog },
  digest: Digest,
): Promise<Read | undefined> {
  try {
    const bytes = await readWhole(store, digest);
    return bytes && readBytes(bytes, { digest, source: 'disk' }, catalog.facts(digest)?.mediaType);
  } catch (error) {
    // The origin may do better than this disk.
    if (isFailure(error)) return undefined;
    throw error;
  }
}

/** What proven bytes say, of the type that they name, or else were told to be. Undefined when they are no manifest. */
export function readBytes(
  bytes: Buffer,
  from: { readonly digest: Digest; readonly source: Source },
  told: string | undefined,
): Read | undefined {
  const mediaType = typeOf(bytes, told);
  if (mediaType === undefined) return undefined;
  return { ...from, mediaType, size: bytes.length, bytes, checked: checkManifest(bytes, mediaType) };
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
