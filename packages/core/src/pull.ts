import type { OpenBlob, Remote } from './blob.ts';
import type { Digest } from './digest.ts';

/** A blob somebody asks for, and the repository it may be fetched from. */
export interface Want {
  readonly digest: Digest;
  /** Known from a manifest or the origin; asked from the remote when undefined. */
  readonly size: number | undefined;
  readonly remote: Remote;
}

/** A fill that runs or ran lately. */
export interface PullStatus {
  readonly digest: Digest;
  readonly origin: string;
  readonly size: number;
  readonly heldBytes: number;
  readonly readers: number;
  readonly state: 'filling' | 'sealed' | 'stopped' | 'failed';
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly bytesFrom: { readonly disk: number; readonly peer: number; readonly origin: number };
  readonly problem: string | undefined;
}

/** Opens blobs wherever they are: the disk first, else a draft that fills while it is read. */
export interface Pulls extends AsyncDisposable {
  /** Undefined when nobody has such a blob. Throws `origin_unavailable`, `denied`, `unauthorized` when that could not be found out. */
  open(want: Want, signal: AbortSignal): Promise<OpenBlob | undefined>;
  /** The running fills and the latest ended ones. */
  list(): readonly PullStatus[];
}
