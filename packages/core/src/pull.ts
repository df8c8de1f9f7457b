import type { BlobStore, OpenBlob, Remote } from './blob.ts';
import { type Digest, matches } from './digest.ts';
import { isFailure } from './failure.ts';
import { type FillsParts, type PullStatus, startFills } from './fills.ts';
import { BLOB_BYTES_MAX } from './pieces.ts';
import { openRelay } from './relay.ts';

/** Times one reader may find its blob changed on the disk before it gives up. */
const HEALS_MAX = 3;

/** A blob somebody asks for, and the repository it may be fetched from. */
export interface Want {
  readonly digest: Digest;
  /** Known from a manifest or the origin; asked from the remote when undefined. */
  readonly size: number | undefined;
  readonly remote: Remote;
}

/** Opens blobs wherever they are: the disk first, else a draft that fills while it is read. */
export interface Pulls extends AsyncDisposable {
  /**
   * Undefined when nobody has such a blob. Throws `origin_unavailable`, `denied`, `unauthorized` when that could not be
   * found out. What it gives heals itself: bytes that changed on the disk are fetched again under the reader.
   */
  open(want: Want, signal: AbortSignal): Promise<OpenBlob | undefined>;
  /** Brings a blob of known size to the disk with nobody reading it. Whether it is there when this ends, or is called off. */
  keep(want: Want & { readonly size: number }, signal: AbortSignal): Promise<boolean>;
  /** The running fills and the latest ended ones. */
  list(): readonly PullStatus[];
}

export function startPulls({ store, ...parts }: FillsParts & { readonly store: BlobStore }): Pulls {
  const fills = startFills(parts);
  const countRelayed =
    ({ remote }: Want) =>
    (bytes: number) =>
      parts.report({ kind: 'fetched', from: 'origin', origin: remote.origin, bytes });

  /** Sealed, or a draft that somebody fills. Undefined when the disk has no part in it. */
  async function openOnDisk(want: Want, size: number | undefined): Promise<OpenBlob | undefined> {
    const sealed = await store.open(want.digest).catch(orDiskFailed);
    if (sealed || size === undefined) return sealed;
    const draft = await store.draft(want.digest, size);
    return draft && fills.follow(draft, want.remote);
  }

  async function open(want: Want, signal: AbortSignal): Promise<OpenBlob | undefined> {
    const size = store.sizeOf(want.digest) ?? want.size ?? (await want.remote.stat(want.digest, signal));
    if (size === undefined || size > BLOB_BYTES_MAX) return undefined;
    // Nothing to fetch, so nothing would prove it.
    if (size === 0 && !matches(new Uint8Array(), want.digest)) return undefined;
    const relay = () => openRelay({ ...want, size, arrived: countRelayed(want) });
    const first = (await openOnDisk(want, size)) ?? relay();
    return selfHealing(first, { relay, again: () => openOnDisk(want, size) });
  }

  async function keep({ digest, size, remote }: Want & { readonly size: number }, signal: AbortSignal) {
    if (store.sizeOf(digest) !== undefined) return true;
    if (size === 0 || size > BLOB_BYTES_MAX) return false;
    const draft = await store.draft(digest, size);
    return draft ? await fills.finish(draft, remote, signal) : false;
  }

  return { open, keep, list: fills.list, [Symbol.asyncDispose]: () => fills[Symbol.asyncDispose]() };
}

interface Alternatives {
  /** The blob without the disk. */
  readonly relay: () => OpenBlob;
  /** The blob as the disk has it now. */
  readonly again: () => Promise<OpenBlob | undefined>;
}

/** Goes on, at the same byte, from wherever the blob can still be had. */
function selfHealing(first: OpenBlob, { relay, again }: Alternatives): OpenBlob {
  let current = first;
  let heals = 0;

  async function replace(next: OpenBlob): Promise<void> {
    const old = current;
    current = next;
    await old[Symbol.asyncDispose]();
  }

  return {
    digest: first.digest,
    size: first.size,
    get source() {
      return current.source;
    },
    get heldBytes() {
      return current.heldBytes;
    },
    async read(into, offset, signal) {
      for (;;) {
        try {
          return await current.read(into, offset, signal);
        } catch (error) {
          const isLost = isFailure(error, 'blob_lost') && heals < HEALS_MAX;
          if (!isLost && !isFailure(error, 'disk_failed')) throw error;
          heals++;
          await replace((isLost ? await again() : undefined) ?? relay());
        }
      }
    },
    [Symbol.asyncDispose]: () => current[Symbol.asyncDispose](),
  };
}

function orDiskFailed(error: unknown): undefined {
  if (!isFailure(error)) throw error;
  return undefined;
}
