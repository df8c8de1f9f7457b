import { createHash, type Hash } from 'node:crypto';

/** The name of a blob: an algorithm and the hash of its bytes, as OCI writes it. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const GRAMMAR = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Undefined when the text is no digest we can check. */
export function parseDigest(text: string): Digest | undefined {
  return GRAMMAR.test(text) ? (text as Digest) : undefined;
}

/** A running hash that ends in a digest of the same algorithm as `like`. */
export function hashLike(like: Digest): Hash {
  return createHash(algorithmOf(like));
}

export function digestOf(hash: Hash, like: Digest): Digest {
  return `${algorithmOf(like)}:${hash.digest('hex')}`;
}

/** The SHA-256 digest of bytes at hand. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Whether bytes at hand are what the digest names. */
export function matches(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(hashLike(digest).update(bytes), digest) === digest;
}

export function algorithmOf(digest: Digest): 'sha256' | 'sha512' {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

/** The hexadecimal part, safe as a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** The digest as people read it: enough of it to tell two apart. */
export function shortOf(digest: Digest): string {
  return digest.slice(0, 19);
}
