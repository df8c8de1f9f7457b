import { type BlobStore, type Catalog, Failure, matches, type Repository, repositoryKey, sha256 } from '@drayage/core';
import type { Caller, Origins } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import { refusalAnswer } from './errors.ts';
import { bare, refusedBy } from './push-answer.ts';
import { type ClientBody, readBody } from './push-body.ts';
import type { ManifestReference } from './request.ts';

/** Takes a manifest to its origin, and keeps it. */
export type PushManifest = (wanted: WantedPut, signal: AbortSignal) => Promise<Answer>;

export interface WantedPut {
  readonly repository: Repository;
  readonly reference: ManifestReference;
  readonly caller: Caller;
  readonly mediaType: string | undefined;
  readonly body: ClientBody;
  /** The path as the client writes it, up to the reference. */
  readonly place: string;
  /** What the client appends to paths to say which origin it means; empty when the path says it. */
  readonly query: string;
}

export interface PushManifestParts {
  readonly origins: Origins;
  readonly store: BlobStore;
  readonly catalog: Catalog;
}

const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const MEDIA_TYPE = /^[a-z0-9][a-z0-9.+-]{0,63}\/[a-z0-9][a-z0-9.+-]{0,126}$/i;

export function manifestPusher({ origins, store, catalog }: PushManifestParts): PushManifest {
  return async ({ repository, reference, caller, mediaType: given, body, place, query }, signal) => {
    const mediaType = given?.split(';', 1)[0]?.trim() ?? '';
    if (!MEDIA_TYPE.test(mediaType))
      throw new Failure('manifest_invalid', 'a manifest needs a Content-Type that names its type');
    const bytes = await readBody(body, MANIFEST_BYTES_MAX, signal);
    if (!bytes) {
      const message = `a manifest may have ${MANIFEST_BYTES_MAX} bytes at most`;
      return refusalAnswer({ status: 413, code: 'SIZE_INVALID', message });
    }
    if ('digest' in reference && !matches(bytes, reference.digest)) {
      throw new Failure('digest_invalid', `the manifest is not ${reference.digest}`);
    }
    const digest = 'digest' in reference ? reference.digest : sha256(bytes);
    const text = 'digest' in reference ? reference.digest : reference.tag;
    const remote = origins.repository(repository.origin, repository.path, caller);
    const headers = { 'content-type': mediaType };
    const pushed = await remote.push({ method: 'PUT', to: `manifests/${text}`, headers, body: bytes }, signal);
    if (pushed.status !== 201) return refusedBy(repository.origin, pushed);
    const key = repositoryKey(repository);
    if ('tag' in reference) catalog.rememberTag(key, reference.tag, digest);
    // What it names is not noted: the origin may have taken it unseen, and each blob was noted as it came.
    catalog.note(digest, { repository: key, mediaType, size: bytes.length });
    await store.put(digest, bytes);
    return bare(201, {
      Location: `${place}/${digest}${query}`,
      'Docker-Content-Digest': digest,
      'OCI-Subject': pushed.subject,
    });
  };
}
