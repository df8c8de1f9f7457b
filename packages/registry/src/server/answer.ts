import type { Digest, OpenBlob, Source, Span } from '@drayage/core';

/** What a client is going to get. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  /** Undefined when the headers are all there is. */
  readonly body: Buffer | BlobPart | undefined;
  /** Of a body at hand. Where a blob comes from is known by the blob itself, and may become known only with its first bytes. */
  readonly source: Source | undefined;
  /** Something operators should know of this answer. */
  readonly problem?: string;
}

/** Where the answer's bytes come from, as far as that is known now. */
export function sourceOf({ body, source }: Answer): Source | undefined {
  return body !== undefined && 'blob' in body ? body.blob.source : source;
}

/** A part of a blob that is read while it is sent. Whoever sends it disposes of the blob. */
export interface BlobPart {
  readonly blob: OpenBlob;
  readonly span: Span;
}

/** The headers that tell a client what it is looking at, whatever part of it follows. */
export function contentHeaders(digest: Digest, mediaType: string, length: number): Record<string, string | number> {
  return {
    'Content-Type': mediaType,
    'Content-Length': length,
    'Docker-Content-Digest': digest,
    ETag: etagOf(digest),
  };
}

export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}
