import type { Digest } from './digest.ts';
import type { PiecePlan, Span } from './pieces.ts';

/** Where the bytes of an answer came from. */
export type Source = 'disk' | 'peer' | 'origin' | 'mixed';

/** A blob that can be read, complete or still filling. Held until disposed: what is held is not evicted. */
export interface BlobReader extends AsyncDisposable {
  readonly digest: Digest;
  readonly size: number;
  /**
   * Copies checked bytes from `offset` on into `into` and says how many; 0 at the end only.
   * Waits where the blob is still filling. The last piece comes only after the whole digest is proven.
   * Throws `blob_corrupt` when bytes given out before proved wrong, `blob_lost` when the disk no longer has what it had,
   * `disk_failed` when it cannot be read.
   */
  read(into: Buffer, offset: number, signal: AbortSignal): Promise<number>;
}

/** A blob that can be read, and where its bytes come from. */
export interface OpenBlob extends BlobReader {
  /** As far as it is known by now; undefined until the first bytes of a fill have come. */
  readonly source: Source | undefined;
}

/** A blob on its way to the disk. There is one per digest, however many hold it; what it has stays when all let go. */
export interface Draft extends AsyncDisposable {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  /** Bytes of the pieces that are here. */
  readonly heldBytes: number;
  has(piece: number): boolean;
  /**
   * Keeps a piece that arrived whole. The chunks must not change until it resolves. Whoever has hashed its blocks already
   * (BLAKE3, 32 bytes each) hands that over. Throws `disk_failed`.
   */
  write(piece: number, chunks: readonly Uint8Array[], blockHashes?: Buffer): Promise<void>;
  /** With every piece here: proves the digest, and makes the blob durable. False when the bytes are not the digest's. */
  seal(signal: AbortSignal): Promise<boolean>;
  /** Forgets pieces that proved wrong. Readers that were given any of their bytes fail with `blob_corrupt`. */
  drop(pieces: readonly number[]): Promise<void>;
  /**
   * Copies bytes of a piece that is here from `offset` of the blob on, for other members: they prove the digest themselves.
   * Throws `blob_lost` when the disk no longer has what it had.
   */
  readPiece(into: Buffer, offset: number): Promise<number>;
  /** A reader that follows the draft as it fills, and goes on through the sealing. */
  follow(): BlobReader;
  /** The pieces that readers wait for, and for how long already. */
  waiting(): readonly { readonly piece: number; readonly waitedMs: number }[];
  /** From now on somebody fills the draft: readers wait for what is missing. */
  begin(): void;
  /** From now on nobody does: waiting for what is missing fails with this error. What is here stays. */
  fail(error: Error): void;
}

/** A blob on its way to the disk before its digest is known. What was not sealed is gone when it is let go. */
export interface Intake extends AsyncDisposable {
  /** How many came so far. Undefined once the disk no longer takes part: what comes then is let go. */
  readonly bytes: number | undefined;
  /** Takes what comes next, and waits where the disk is behind, but not for long. Never throws for the disk's sake. */
  append(chunk: Uint8Array): Promise<void>;
  /** Ends it: keeps the blob when its bytes are the digest's. Never throws for the disk's sake. */
  seal(digest: Digest): Promise<'sealed' | 'unlike' | 'lost'>;
}

export interface HeldBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly lastUsedAt: number;
}

/** The blobs on this host. */
export interface BlobStore extends AsyncDisposable {
  /** The sealed blob. Undefined when it is not here. */
  open(digest: Digest): Promise<OpenBlob | undefined>;
  /** The draft of a blob, made when there is none. Undefined when the disk cannot take it: full, failing, or over its quota. */
  draft(digest: Digest, size: number): Promise<Draft | undefined>;
  /** For a blob that comes in unnamed. Undefined when the disk cannot take it. */
  intake(): Promise<Intake | undefined>;
  /** Keeps a small blob whose bytes are at hand and proven. False when the disk cannot take it. */
  put(digest: Digest, bytes: Uint8Array): Promise<boolean>;
  /** The BLAKE3 hashes of a sealed blob's blocks, 32 bytes each, in order. Undefined when it is not here. */
  blockHashes(digest: Digest): Promise<Buffer | undefined>;
  /** The size of a sealed blob, without touching it. */
  sizeOf(digest: Digest): number | undefined;
  list(): readonly HeldBlob[];
  /** False when there was nothing to remove. */
  remove(digest: Digest): Promise<boolean>;
  /** Reads the blob again and compares it with its digest; a blob that fails is no longer served. */
  verify(digest: Digest, signal: AbortSignal): Promise<'sound' | 'corrupt' | 'unknown'>;
  status(): StoreStatus;
}

export interface StoreStatus {
  readonly blobs: number;
  readonly bytes: number;
  readonly drafts: number;
  readonly draftBytes: number;
  readonly quotaBytes: number;
  /** Why nothing is written at present; undefined when all is well. */
  readonly passThrough: string | undefined;
}

/** A repository of an origin registry, as one caller may see it. */
export interface Remote {
  readonly origin: string;
  /** The size of a blob. Undefined when the origin has no such blob; throws `origin_unavailable`, `denied`, `unauthorized`. */
  stat(digest: Digest, signal: AbortSignal): Promise<number | undefined>;
  /** Bytes of a blob as the origin sends them; ends early or throws when it does. A chunk is good until the next is asked for. */
  read(digest: Digest, span: Span, signal: AbortSignal): AsyncIterable<Uint8Array>;
}
