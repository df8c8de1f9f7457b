import { type BlobStore, type Catalog, type Digest, Failure, isFailure, type OpenBlob } from '@drayage/core';
import { checkManifest } from '@drayage/registry';

/** What a manifest says, with its bytes. */
export interface CheckedManifest extends ReturnType<typeof checkManifest> {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface Held {
  readonly store: BlobStore;
  readonly catalog: Catalog;
}

const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

/** The manifest as this disk has it. Undefined when it is not here, or is nothing that could be understood. */
export async function heldManifest(
  digest: Digest,
  { store, catalog }: Held,
  signal: AbortSignal,
): Promise<CheckedManifest | undefined> {
  const mediaType = catalog.facts(digest)?.mediaType;
  if (mediaType === undefined) return undefined;
  await using blob = await store.open(digest);
  if (!blob || blob.size > MANIFEST_BYTES_MAX) return undefined;
  try {
    const bytes = await readWhole(blob, signal);
    return { ...checkManifest(bytes, mediaType), digest, bytes };
  } catch (error) {
    if (isFailure(error)) return undefined;
    throw error;
  }
}

async function readWhole(blob: OpenBlob, signal: AbortSignal): Promise<Buffer> {
  const bytes = Buffer.alloc(blob.size);
  let offset = 0;
  while (offset < bytes.length) {
    const read = await blob.read(bytes.subarray(offset), offset, signal);
    if (read === 0) throw new Failure('blob_corrupt', `${blob.digest} ended early`);
    offset += read;
  }
  return bytes;
}
