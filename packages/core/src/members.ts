import type { Catalog } from './catalog.ts';
import type { Digest } from './digest.ts';

/** What the origin said of a repository's being public counts this long without asking again. */
export const PUBLIC_FRESH_MS: number = 24 * 3600 * 1000;

/** The other hosts of the swarm, as far as a registry has something to ask them. */
export interface Members {
  /** The bytes of a small blob, such as a manifest, from a member that holds it: proven. Undefined when none gives it. */
  fetchSmall(digest: Digest, signal: AbortSignal): Promise<Buffer | undefined>;
  /** Whether a member says: "I proved at the origin that anyone may read this repository, and I saw this blob in it." */
  vouch(repository: string, digest: Digest, signal: AbortSignal): Promise<boolean>;
}

/** What this host may vouch for: what it proved itself, and lately. */
export function provenHere(
  { recallPublic, belongs }: Pick<Catalog, 'recallPublic' | 'belongs'>,
  now: () => number,
): (repository: string, digest: Digest) => boolean {
  return (repository, digest) => {
    const provenAt = recallPublic(repository);
    return provenAt !== undefined && now() - provenAt < PUBLIC_FRESH_MS && belongs(digest, repository);
  };
}
