import { BLOCK_BYTES, type PiecePlan, pieceSpan } from '@drayage/core';
import { blake3, blake3UrlSafeBase64 } from '@napi-rs/blake-hash';

const HASH_BYTES = 32;

/**
 * A piece's hash is the BLAKE3 of the BLAKE3 hashes of its blocks, in hex: the store has those of every sealed blob, so
 * that what is served need not be read to be attested.
 */
export function hashPiece(bytes: Buffer): PieceHash {
  const count = Math.ceil(bytes.length / BLOCK_BYTES);
  const hashes = Buffer.allocUnsafe(count * HASH_BYTES);
  for (let block = 0; block < count; block++) {
    // As text: a buffer from native code costs the garbage collector more than the hashing costs.
    const hash = blake3UrlSafeBase64(bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    hashes.write(hash, block * HASH_BYTES, HASH_BYTES, 'base64url');
  }
  return { hash: combine(hashes), blockHashes: hashes };
}

export interface PieceHash {
  readonly hash: string;
  readonly blockHashes: Buffer;
}

/** The hashes of all pieces of a blob, from those of its blocks. */
export function pieceHashes(plan: PiecePlan, blockHashes: Buffer): readonly string[] {
  return Array.from({ length: plan.count }, (_, piece) => {
    const { start, end } = pieceSpan(plan, piece);
    const first = (start / BLOCK_BYTES) * HASH_BYTES;
    return combine(blockHashes.subarray(first, Math.ceil(end / BLOCK_BYTES) * HASH_BYTES));
  });
}

function combine(hashes: Buffer): string {
  return blake3(hashes).toString('hex');
}
