import { BLOB_BYTES_MAX, type Digest, Failure, type Report } from '@drayage/core';
import { contentLength, discard, headerOf } from './answer.ts';
import { type AskerParts, askerOf, failureOf } from './asker.ts';
import { bytesOf } from './blob-read.ts';
import { manifestFetchOf } from './manifest-fetch.ts';
import { passOn, referrersQuery, tagsQuery } from './pass-on.ts';
import { pusherOf } from './push.ts';
import { unavailable } from './refusal.ts';
import type { OriginRepository, PassedOn } from './types.ts';

/** From here on a connection of its own is worth its making. */
const BULK_BYTES_MIN = 1024 * 1024;

/** Answers that tell a client what is wrong with its question. */
const PASSED_STATUSES: readonly number[] = [400, 405, 406, 410];

/** The questions an origin can be asked about one repository. */
export function repositoryOf(parts: AskerParts, report: Report): OriginRepository {
  const asker = askerOf(parts);
  const { origin } = asker;
  const manifests = manifestFetchOf(asker, report);

  async function mapped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw failureOf(origin, error, signal);
    }
  }

  async function stat(digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const answer = await asker.ask({ what: `blobs/${digest}`, method: 'HEAD' }, signal);
    if (!answer) return undefined;
    await discard(answer);
    if (/^text\/html\b/i.test(headerOf(answer, 'content-type') ?? ''))
      throw unavailable(origin, 'sends a page in place of a blob');
    const size = contentLength(answer);
    if (size === undefined) throw unavailable(origin, `does not say how large ${digest} is`);
    if (size > BLOB_BYTES_MAX) throw unavailable(origin, `says that ${digest} has ${size} bytes, which is too large`);
    return size;
  }

  async function pass(what: string, signal: AbortSignal): Promise<PassedOn | undefined> {
    const answer = await asker.ask({ what, allows: PASSED_STATUSES }, signal);
    return answer && passOn(origin, answer);
  }

  return {
    origin,
    stat: (digest, signal) => mapped(stat(digest, signal), signal),
    async *read(digest, span, signal) {
      // An empty range cannot be asked for, and one at the end of a blob makes some registries hang.
      if (span.end <= span.start) return;
      const headers = { range: `bytes=${span.start}-${span.end - 1}` };
      try {
        const bulk = span.end - span.start >= BULK_BYTES_MIN;
        const answer = await asker.ask({ what: `blobs/${digest}`, headers, bulk, allows: [206] }, signal);
        if (!answer) throw new Failure('blob_unknown', `${origin} has no ${digest} in ${parts.path}`);
        yield* bytesOf(origin, answer, span);
      } catch (error) {
        throw failureOf(origin, error, signal);
      }
    },
    headManifest: (reference, signal) => mapped(manifests.head(reference, signal), signal),
    getManifest: (reference, accept, signal) => mapped(manifests.get(reference, accept, signal), signal),
    push: pusherOf(parts),
    listTags: (query, signal) => mapped(pass(`tags/list${tagsQuery(query)}`, signal), signal),
    referrers: (digest, query, signal) => mapped(pass(`referrers/${digest}${referrersQuery(query)}`, signal), signal),
  };
}
