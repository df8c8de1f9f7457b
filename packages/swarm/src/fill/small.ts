import { type BlobStore, type Digest, Failure, matches, parseDigest } from '@drayage/core';
import type { Answerer, Control } from '../control.ts';

/** What fits into one control message as Base64: every manifest but the most absurd. */
const SMALL_BYTES_MAX: number = 64 * 1024;
const MEMBERS_ASKED_MAX = 3;
const ANSWER_WAIT_MS = 1000;

/** The bytes of a small blob that is sealed here, for other members. */
export function smallAnswerer(store: BlobStore): Answerer {
  return async (_member, body) => {
    const { digest: text } = (body ?? {}) as Partial<Record<string, unknown>>;
    const digest = typeof text === 'string' ? parseDigest(text) : undefined;
    if (!digest) throw new Failure('digest_invalid', 'that is no digest');
    const size = store.sizeOf(digest);
    if (size === undefined || size > SMALL_BYTES_MAX) throw new Failure('blob_unknown', 'there is no such small blob');
    await using blob = await store.open(digest);
    if (!blob) throw new Failure('blob_unknown', 'there is no such small blob');
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const count = await blob.read(bytes.subarray(at), at, AbortSignal.timeout(ANSWER_WAIT_MS));
      if (count === 0) throw new Failure('blob_lost', 'the blob is no longer whole');
      at += count;
    }
    return { bytes: bytes.toString('base64') };
  };
}

/** A small blob from the first of its holders that gives it, proven. Undefined when none does. */
export async function fetchSmall(
  digest: Digest,
  holders: readonly string[],
  control: Control,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  for (const member of holders.slice(0, MEMBERS_ASKED_MAX)) {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
    const answer = await control.ask(member, 'small', { digest }, late).catch(() => undefined);
    signal.throwIfAborted();
    const { bytes: text } = (answer ?? {}) as Partial<Record<string, unknown>>;
    const bytes = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined;
    if (bytes && matches(bytes, digest)) return bytes;
  }
  return undefined;
}
