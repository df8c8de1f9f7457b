import {
  type Digest,
  Failure,
  type PullStatus,
  type Pulls,
  parseDigest,
  parseReference,
  repositoryKey,
} from '@drayage/core';
import type { FillStory, Swarm } from '@drayage/swarm';
import { type Held, heldManifest } from './held-manifest.ts';

/** Where the bytes of what was asked about came from. */
export interface Explanation {
  /** What the reference means here; undefined when a digest was asked about. */
  readonly image:
    | { readonly repository: string; readonly tag: string | undefined; readonly digest: Digest }
    | undefined;
  /** The blob that was asked about; of an image its manifests, and what they name. */
  readonly blobs: readonly ExplainedBlob[];
}

/** One blob, and how it came here. */
export interface ExplainedBlob {
  readonly digest: Digest;
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
  readonly isHeld: boolean;
  /** Its recent fills, the latest first. */
  readonly stories: readonly ToldFill[];
}

/** A fill as it is told: a host without a swarm knows the bytes, but not how often it asked. */
export interface ToldFill extends Omit<FillStory, 'fromOrigin'> {
  readonly memberBytes: number;
  readonly fromOrigin: { readonly bytes: number } & Partial<FillStory['fromOrigin']>;
}

export interface ExplainParts extends Held {
  readonly pulls: Pulls;
  readonly swarm: Swarm | undefined;
  readonly defaultOrigin: string;
}

const BLOBS_MAX = 1000;

/**
 * Explains a digest or a reference from what this host knows; nobody is asked. Throws `blob_unknown` or
 * `manifest_unknown` when that is nothing, `name_invalid` when it is neither.
 */
export async function explain(target: string, parts: ExplainParts, signal: AbortSignal): Promise<Explanation> {
  const asked = parseDigest(target);
  const image = asked ? undefined : imageOf(target, parts);
  const digest = asked ?? image?.digest;
  if (!digest) {
    throw new Failure('manifest_unknown', `this host has not seen ${target}; what it has seen: drayage images`);
  }
  const top = tell({ digest }, parts);
  if (!top.isHeld && top.stories.length === 0) {
    if (image) throw new Failure('manifest_unknown', `the manifest of ${target} is not here any more: ${digest}`);
    throw new Failure('blob_unknown', `${digest} is not in the store, and no recent fill was of it`);
  }
  const below = await childrenOf(digest, parts, signal);
  return { image, blobs: [top, ...below.map((child) => tell(child, parts))] };
}

function imageOf(target: string, { catalog, defaultOrigin }: ExplainParts): Explanation['image'] {
  const { repository, tag, digest } = parseReference(target, defaultOrigin);
  const key = repositoryKey(repository);
  const known = digest ?? (tag === undefined ? undefined : catalog.recallTag(key, tag)?.digest);
  return known && { repository: key, tag, digest: known };
}

interface Child {
  readonly digest: Digest;
  readonly size?: number;
  readonly mediaType?: string;
}

/** What a manifest names; of an index, the images whose manifests are here and what they name. */
async function childrenOf(digest: Digest, held: Held, signal: AbortSignal): Promise<readonly Child[]> {
  const children = new Map<Digest, Child>();
  const top = await heldManifest(digest, held, signal);
  for (const child of top?.children ?? []) {
    if (top?.kind !== 'index') {
      children.set(child.digest, child);
    } else if (held.store.sizeOf(child.digest) !== undefined) {
      const image = await heldManifest(child.digest, held, signal);
      for (const each of [child, ...(image?.children ?? [])]) children.set(each.digest, each);
    }
  }
  return [...children.values()].slice(0, BLOBS_MAX);
}

function tell({ digest, size, mediaType }: Child, { store, catalog, pulls, swarm }: ExplainParts): ExplainedBlob {
  const facts = catalog.facts(digest);
  const heldSize = store.sizeOf(digest);
  const told = (swarm?.explain(digest) ?? []).map(toldOf);
  const stories =
    told.length > 0
      ? told
      : pulls
          .list()
          .filter((pull) => pull.digest === digest)
          .map(toldOfPull);
  return {
    digest,
    size: heldSize ?? size ?? facts?.size ?? stories[0]?.size,
    mediaType: mediaType ?? facts?.mediaType,
    isHeld: heldSize !== undefined,
    stories: stories.sort((a, b) => b.startedAt - a.startedAt),
  };
}

function toldOf(story: FillStory): ToldFill {
  return { ...story, memberBytes: story.fromMembers.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function toldOfPull({
  heldBytes: _held,
  readers: _readers,
  awaitsProof: _awaits,
  bytesFrom,
  ...pull
}: PullStatus): ToldFill {
  return {
    ...pull,
    home: undefined,
    diskBytes: bytesFrom.disk,
    memberBytes: bytesFrom.peer,
    fromOrigin: { bytes: bytesFrom.origin },
    fromMembers: [],
    notes: [],
  };
}
