import { type Catalog, type Digest, describe, Failure, isFailure, type Report, repositoryKey } from '@drayage/core';
import type { ManifestHead, OriginRepository } from '../origin/types.ts';
import { orAbort, singleFlight, within } from './flight.ts';
import { type Policies, tagRule } from './policy.ts';

/** Finds out which manifest a tag means. Only the origin decides that, never a peer. */
export interface Tags {
  /** Throws `manifest_unknown` when the origin has no such tag, or does not answer and nothing recent is known. */
  resolve(wanted: Tagged, signal: AbortSignal): Promise<Resolved>;
}

interface Tagged {
  readonly path: string;
  readonly tag: string;
  readonly remote: OriginRepository;
  /** Answers are shared among those who ask with one credential only. */
  readonly caller: string;
}

export interface Resolved {
  readonly digest: Digest;
  /** What the origin said just now. Undefined when it was not asked. */
  readonly head: ManifestHead | undefined;
  /** The origin did not answer: this is what it said last. */
  readonly stale: boolean;
}

export interface TagParts {
  readonly catalog: Catalog;
  readonly policies: Policies;
  readonly report: Report;
  readonly now: () => number;
}

const TAG_WAIT_MS = 2_000;
const MANIFEST_WAIT_MS = 8_000;

/** Resolves tags by design: the origin first, the last known digest while it is away. */
export function openTags({ catalog, policies, report, now }: TagParts): Tags {
  const flights = singleFlight<Resolved>();

  return {
    async resolve({ path, tag, remote, caller }, signal) {
      const repository = { origin: remote.origin, path };
      const key = repositoryKey(repository);
      const rule = tagRule(policies.for(repository), tag);
      const last = catalog.recallTag(key, tag);
      const age = last ? now() - last.seenAt : Number.POSITIVE_INFINITY;
      if (last && age < rule.ttlMs) return { digest: last.digest, head: undefined, stale: false };
      try {
        return await orAbort(
          flights(`${caller} ${key}:${tag}`, () => askOrigin(remote, key, tag)),
          signal,
        );
      } catch (error) {
        if (!isFailure(error, 'origin_unavailable')) throw error;
        report({ kind: 'masked', origin: remote.origin, target: `${key}:${tag}`, problem: describe(error) });
        if (last && age < rule.staleForMs) return { digest: last.digest, head: undefined, stale: true };
        throw new Failure('manifest_unknown', `the tag ${tag} cannot be resolved`, { cause: error });
      }
    },
  };

  async function askOrigin(remote: OriginRepository, key: string, tag: string): Promise<Resolved> {
    const head = await within(TAG_WAIT_MS, `resolving ${key}:${tag}`, (late) => remote.headManifest(tag, late));
    if (!head) throw new Failure('manifest_unknown', `${key} has no tag ${tag}`);
    const digest = head.digest ?? (await digestByContent(remote, key, tag));
    catalog.rememberTag(key, tag, digest);
    catalog.note(digest, { repository: key, mediaType: head.mediaType, size: head.size });
    return { digest, head, stale: false };
  }
}

/** Some registries do not say the digest, so the manifest itself has to. */
async function digestByContent(remote: OriginRepository, key: string, tag: string): Promise<Digest> {
  const read = (late: AbortSignal) => remote.getManifest(tag, undefined, late);
  const manifest = await within(MANIFEST_WAIT_MS, `reading ${key}:${tag}`, read);
  if (!manifest) throw new Failure('manifest_unknown', `${key} has no tag ${tag}`);
  return manifest.digest;
}
