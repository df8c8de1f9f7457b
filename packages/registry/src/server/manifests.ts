import { setTimeout as sleep } from 'node:timers/promises';
import { type Catalog, type Digest, Failure, isFailure, repositoryKey } from '@drayage/core';
import { MANIFEST_TYPES } from '../origin/manifest.ts';
import { callerKey, type ManifestHead, type Origins } from '../origin/types.ts';
import type { Access, Question } from './access.ts';
import { type Answer, contentHeaders } from './answer.ts';
import type { Asked } from './client-credential.ts';
import { hedged, within } from './flight.ts';
import { type Known, MANIFEST_WAIT_MS } from './manifest-read.ts';
import { getManifest, type Place, type Shelf } from './manifest-shelf.ts';
import type { ManifestReference } from './request.ts';
import type { Resolved, Tags } from './tags.ts';

/** Answers questions for manifests, by tag or by digest. */
export type AnswerManifest = (wanted: WantedManifest, signal: AbortSignal) => Promise<Answer>;

interface WantedManifest extends Asked {
  readonly reference: ManifestReference;
  readonly accept: string | undefined;
  /** Only the headers are wanted. */
  readonly headOnly: boolean;
}

export interface ManifestParts {
  readonly origins: Origins;
  readonly access: Access;
  readonly tags: Tags;
  readonly shelf: Shelf;
  readonly catalog: Catalog;
  /** Whether there are others that may have what the origin does not give. */
  readonly hasMembers: boolean;
}

/** Without its origin, a manifest is looked for among the members so many times, so far apart. */
const ALONE_TRIES_MAX = 4;
const ALONE_PAUSE_MS = 500;
/** Members that have not given a manifest by then are raced with its origin. */
const MEMBERS_HEAD_START_MS = 300;

/** Serves manifests to callers that may read their repository. */
export function manifestAnswers(parts: ManifestParts): AnswerManifest {
  const answerOnce = answeringOnce(parts);
  return async (wanted, signal) => {
    for (let tries = 1; ; tries++) {
      try {
        return await answerOnce(wanted, signal);
      } catch (error) {
        const mayBeElsewhere = parts.hasMembers && 'digest' in wanted.reference && tries < ALONE_TRIES_MAX;
        if (!mayBeElsewhere || !isFailure(error, 'origin_unavailable')) throw error;
        // A host that has just joined is still getting to know those who have it.
        await sleep(ALONE_PAUSE_MS, undefined, { signal });
      }
    }
  };
}

function answeringOnce({ origins, access, tags, shelf, catalog }: ManifestParts): AnswerManifest {
  return async ({ repository, visitor, reference, accept, headOnly }, signal) => {
    const key = repositoryKey(repository);
    const caller = await access.admit({ repository, visitor }, questionFor(reference, key, catalog), signal);
    const remote = origins.repository(repository.origin, repository.path, caller);
    const place: Place = { key, remote, caller };
    const resolved: Resolved =
      'digest' in reference
        ? { digest: reference.digest, head: undefined, stale: false }
        : await tags.resolve({ path: repository.path, tag: reference.tag, remote, caller: callerKey(caller) }, signal);
    const { digest } = resolved;
    const fromOrigin = async () =>
      (headOnly ? await head(place, digest) : undefined) ?? (await shelf.fetched(place, digest, signal));
    const known =
      (await shelf.held(place, digest)) ??
      (headOnly && resolved.head ? complete(resolved.head, digest) : undefined) ??
      (await hedged(shelf.shared(place, digest, signal), MEMBERS_HEAD_START_MS, fromOrigin, signal));
    if (accepts(accept, known.mediaType)) return answer(known, resolved.stale);

    // What the client's own Accept makes of it at the origin may be a conversion, so it is not kept.
    const text = textOf(reference);
    const { mediaType, bytes, ...sent } = await getManifest(place, text, accept);
    return answer({ digest: sent.digest, mediaType, size: bytes.length, bytes, source: 'origin' }, resolved.stale);
  };
}

/** Whether an Accept header lets the client have this media type. Clients that leave it out take anything. */
export function accepts(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined) return true;
  const wanted = accept.split(',').map((item) => item.split(';', 1)[0]?.trim().toLowerCase());
  return wanted.some((item) => item === mediaType || item === '*/*' || item === 'application/*');
}

/** What the origin says of a manifest, when it says all that a client needs: so that asking costs no download. */
async function head({ key, remote }: Place, digest: Digest): Promise<Known | undefined> {
  const ask = (late: AbortSignal) => remote.headManifest(digest, late);
  const said = await within(MANIFEST_WAIT_MS, `asking for ${key}@${digest}`, ask);
  if (!said) throw new Failure('manifest_unknown', `${key} has no manifest ${digest}`);
  return complete(said, digest);
}

function complete(said: ManifestHead, digest: Digest): Known | undefined {
  const { mediaType, size } = said;
  if (said.digest !== digest || size === undefined || mediaType === undefined) return undefined;
  const known: Known = { digest, mediaType, size, bytes: undefined, source: 'origin' };
  return MANIFEST_TYPES.includes(mediaType) ? known : undefined;
}

function questionFor(reference: ManifestReference, repository: string, catalog: Catalog): Question {
  const text = textOf(reference);
  const digest = 'digest' in reference ? reference.digest : undefined;
  return {
    key: text,
    digest,
    missing: 'manifest_unknown',
    async ask(remote, signal) {
      const said = await remote.headManifest(text, signal);
      // An answer that is about no manifest, a 405 or a page for people, says nothing of who may read one.
      if (said && said.mediaType === undefined) return remote.getManifest(text, undefined, signal);
      // Whoever finds it elsewhere need not ask again whether it belongs here.
      if (said && digest) catalog.note(digest, { repository, mediaType: said.mediaType, size: said.size });
      return said;
    },
  };
}

function textOf(reference: ManifestReference): string {
  return 'digest' in reference ? reference.digest : reference.tag;
}

function answer({ digest, mediaType, size, bytes, source }: Known, stale: boolean): Answer {
  const headers = contentHeaders(digest, mediaType, size);
  if (stale) headers['Warning'] = '110 - "Response is Stale"';
  return { status: 200, headers, body: bytes, source };
}
