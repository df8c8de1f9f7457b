import type { Digest } from '@drayage/core';
import { type CheckedManifest, type Held, heldManifest } from './held-manifest.ts';

/** An image this host resolved once, and how much of it lies here. */
export interface HeldImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest: Digest;
  readonly seenAt: number;
  readonly heldBytes: number;
  readonly totalBytes: number;
  /** Whether all blobs of at least one platform are here. */
  readonly isComplete: boolean;
}

const IMAGES_MAX = 1000;

/** The latest images by tag, as many as `IMAGES_MAX`. */
export async function heldImages(held: Held, signal: AbortSignal): Promise<readonly HeldImage[]> {
  const tags = [...held.catalog.tags()].sort((a, b) => b.seenAt - a.seenAt).slice(0, IMAGES_MAX);
  const images: HeldImage[] = [];
  for (const { repository, tag, digest, seenAt } of tags) {
    const extent = await extentOf(digest, held, signal);
    if (extent) images.push({ repository, tag, digest, seenAt, ...extent });
  }
  return images;
}

interface Extent {
  readonly heldBytes: number;
  readonly totalBytes: number;
  readonly isComplete: boolean;
}

const NOTHING: Extent = { heldBytes: 0, totalBytes: 0, isComplete: false };

/** Undefined when the manifest is not here any more. */
async function extentOf(digest: Digest, held: Held, signal: AbortSignal): Promise<Extent | undefined> {
  const top = await heldManifest(digest, held, signal);
  if (!top) return undefined;
  if (top.kind !== 'index') return imageExtent(top, held);
  const extents: Extent[] = [];
  for (const child of top.children) {
    const image = await heldManifest(child.digest, held, signal);
    // An index inside an index is not followed.
    extents.push(image && image.kind !== 'index' ? imageExtent(image, held) : NOTHING);
  }
  return { ...sum(extents), isComplete: extents.some(({ isComplete }) => isComplete) };
}

function imageExtent(image: CheckedManifest, held: Held): Extent {
  return sum(image.children.map(({ digest, size }) => blobExtent(digest, size, held)));
}

function blobExtent(digest: Digest, size: number, { store }: Held): Extent {
  const isHeld = store.sizeOf(digest) !== undefined;
  return { heldBytes: isHeld ? size : 0, totalBytes: size, isComplete: isHeld };
}

function sum(extents: readonly Extent[]): Extent {
  const total = (pick: (extent: Extent) => number) => extents.reduce((all, extent) => all + pick(extent), 0);
  return {
    heldBytes: total(({ heldBytes }) => heldBytes),
    totalBytes: total(({ totalBytes }) => totalBytes),
    isComplete: extents.every(({ isComplete }) => isComplete),
  };
}
