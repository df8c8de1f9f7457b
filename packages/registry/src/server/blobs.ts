import {
  type BlobStore,
  type Catalog,
  type Digest,
  Failure,
  type OpenBlob,
  type Pulls,
  type Remote,
  repositoryKey,
} from '@drayage/core';
import { callerKey, type Origins } from '../origin/types.ts';
import type { Access, Question } from './access.ts';
import { type Answer, contentHeaders, etagOf } from './answer.ts';
import type { Asked } from './client-credential.ts';
import { refusalAnswer } from './errors.ts';
import { orAbort, singleFlight, within } from './flight.ts';
import { askOrHear, type Hearsay } from './hearsay.ts';
import type { Prefetch } from './prefetch.ts';
import { parseRange } from './range.ts';

/** Answers questions for blobs. Who gets an answer with a blob part disposes of the blob. */
export type AnswerBlob = (wanted: WantedBlob, signal: AbortSignal) => Promise<Answer>;

interface WantedBlob extends Asked {
  readonly digest: Digest;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  /** Only the headers are wanted. */
  readonly headOnly: boolean;
}

export interface BlobParts {
  readonly origins: Origins;
  readonly access: Access;
  readonly pulls: Pulls;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly hearsay: Hearsay;
  readonly prefetch: Prefetch;
}

const STAT_WAIT_MS = 4_000;

/** Serves blobs of repositories that are known to hold them. Knowing a digest is no right to read it. */
export function blobAnswers({ origins, access, pulls, store, catalog, hearsay, prefetch }: BlobParts): AnswerBlob {
  const stats = singleFlight<number>();

  return async (wanted, signal) => {
    const { repository, digest } = wanted;
    const key = repositoryKey(repository);
    const caller = await access.admit(wanted, questionFor(digest), signal);
    const remote = origins.repository(repository.origin, repository.path, caller);
    const ask = () =>
      orAbort(
        stats(`${callerKey(caller)} ${key}@${digest}`, () => stat(remote, key, digest)),
        signal,
      );
    const belongs = catalog.belongs(digest, key) || hearsay.belongs(digest, key);
    const told = belongs ? undefined : await askOrHear(hearsay, { key, digest, remote, caller }, ask, signal);
    const size = typeof told === 'number' ? told : sizeOf(digest);
    if (wanted.headOnly) return headAnswer(digest, size ?? (await ask()));
    const blob = await pulls.open({ digest, size, remote }, signal);
    if (!blob) throw new Failure('blob_unknown', `${key} has no blob ${digest}`);
    // A range is the way of those who read an image only where they must, or had most of it already.
    const isWhole = wanted.range === undefined;
    return partAnswer(isWhole ? followed(blob, prefetch.follow({ repository: key, digest, remote })) : blob, wanted);
  };

  function sizeOf(digest: Digest): number | undefined {
    const facts = catalog.facts(digest);
    return store.sizeOf(digest) ?? (facts ? facts.size : hearsay.sizeOf(digest));
  }

  async function stat(remote: Remote, key: string, digest: Digest): Promise<number> {
    const size = await within(STAT_WAIT_MS, `asking for ${key}@${digest}`, (late) => remote.stat(digest, late));
    if (size === undefined) throw new Failure('blob_unknown', `${key} has no blob ${digest}`);
    catalog.note(digest, { repository: key, size });
    return size;
  }
}

function questionFor(digest: Digest): Question {
  return { key: digest, digest, missing: 'blob_unknown', ask: (remote, signal) => remote.stat(digest, signal) };
}

/** The same blob, and `done` when it is let go. */
function followed(blob: OpenBlob, done: () => void): OpenBlob {
  return {
    digest: blob.digest,
    size: blob.size,
    get source() {
      return blob.source;
    },
    read: (into, offset, signal) => blob.read(into, offset, signal),
    async [Symbol.asyncDispose]() {
      done();
      await blob[Symbol.asyncDispose]();
    },
  };
}

function headAnswer(digest: Digest, size: number): Answer {
  return { status: 200, headers: blobHeaders(digest, size), body: undefined, source: undefined };
}

async function partAnswer(blob: OpenBlob, { digest, range, ifRange }: WantedBlob): Promise<Answer> {
  const asked = ifRange === undefined || ifRange === etagOf(digest) ? range : undefined;
  const span = parseRange(asked, blob.size);
  if (span === 'unsatisfiable') {
    await blob[Symbol.asyncDispose]();
    const headers = { 'Content-Range': `bytes */${blob.size}` };
    return refusalAnswer({ status: 416, code: 'RANGE_INVALID', message: 'the range starts past the end', headers });
  }
  const { start, end } = span ?? { start: 0, end: blob.size };
  const headers = blobHeaders(digest, end - start);
  if (span) headers['Content-Range'] = `bytes ${start}-${end - 1}/${blob.size}`;
  return { status: span ? 206 : 200, headers, body: { blob, span: { start, end } }, source: undefined };
}

function blobHeaders(digest: Digest, length: number): Record<string, string | number> {
  return {
    ...contentHeaders(digest, 'application/octet-stream', length),
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'max-age=31536000',
  };
}
