import { join } from 'node:path';
import { algorithmOf, type Digest, hexOf, parseDigest } from '@drayage/core';

/** Where everything lies under one root. A file's name is the hash and nothing a client sent. */
export interface Layout {
  readonly root: string;
  readonly lock: string;
  readonly catalog: string;
  readonly probe: string;
  readonly drafts: string;
  readonly quarantine: string;
  /** Every folder that must be there before anything is written. */
  readonly folders: readonly string[];
  blob(digest: Digest): string;
  /** The block hashes of a sealed blob. */
  hashes(digest: Digest): string;
  draft(digest: Digest): { readonly folder: string; readonly data: string; readonly map: string };
}

const ALGORITHMS = ['sha256', 'sha512'] as const;

export function layoutOf(root: string): Layout {
  const shard = (kind: string, digest: Digest) =>
    join(root, kind, algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest));
  const drafts = join(root, 'drafts');
  const quarantine = join(root, 'quarantine');
  return {
    root,
    lock: join(root, 'lock'),
    catalog: join(root, 'catalog'),
    probe: join(root, 'probe'),
    drafts,
    quarantine,
    folders: [
      ...['blobs', 'pieces'].flatMap((kind) => ALGORITHMS.map((name) => join(root, kind, name))),
      drafts,
      quarantine,
    ],
    blob: (digest) => shard('blobs', digest),
    hashes: (digest) => shard('pieces', digest),
    draft: (digest) => {
      const folder = join(drafts, draftName(digest));
      return { folder, data: join(folder, 'data'), map: join(folder, 'map') };
    },
  };
}

function draftName(digest: Digest): string {
  return digest.replace(':', '-');
}

/** Undefined for a folder that is none of ours. */
export function digestOfDraft(name: string): Digest | undefined {
  return parseDigest(name.replace('-', ':'));
}
