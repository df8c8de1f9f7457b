import type { Digest } from './digest.ts';

/**
 * What this host knows about blobs besides their bytes: which repositories showed them, what they are, which tag last
 * meant which digest. Soft knowledge: losing it costs a question to the origin, never content.
 */
export interface Catalog {
  /** A repository (by its key) was seen to contain this blob. */
  note(digest: Digest, facts: BlobFacts): void;
  belongs(digest: Digest, repository: string): boolean;
  facts(digest: Digest): KnownFacts | undefined;
  rememberTag(repository: string, tag: string, digest: Digest): void;
  recallTag(repository: string, tag: string): { readonly digest: Digest; readonly seenAt: number } | undefined;
  /** Every tag this host has resolved, for listings. */
  tags(): readonly {
    readonly repository: string;
    readonly tag: string;
    readonly digest: Digest;
    readonly seenAt: number;
  }[];
  /** The origin let anyone read this repository at that time. */
  rememberPublic(repository: string): void;
  recallPublic(repository: string): number | undefined;
  forgetPublic(repository: string): void;
}

export interface BlobFacts {
  readonly repository: string;
  readonly mediaType?: string | undefined;
  readonly size?: number | undefined;
}

export interface KnownFacts {
  readonly repositories: readonly string[];
  readonly mediaType: string | undefined;
  readonly size: number | undefined;
}
