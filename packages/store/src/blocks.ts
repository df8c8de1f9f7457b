import type { FileHandle } from 'node:fs/promises';
import { BLOCK_BYTES } from '@drayage/core';
import { Blake3Hasher, blake3, blake3UrlSafeBase64 } from '@napi-rs/blake-hash';

/** Bytes of one block's hash. BLAKE3, because every read checks it: four times as fast as SHA-256 here. */
export const HASH_BYTES = 32;
const MAGIC = Buffer.from('DRAYHSH1');
const HEADER_BYTES = 16;

export function blockCount(size: number): number {
  return Math.ceil(size / BLOCK_BYTES);
}

/** The hashes of all blocks of a run of bytes that starts at a block's start. */
export function hashBlocks(chunks: Iterable<Uint8Array>): Buffer {
  const hashes: Buffer[] = [];
  let hasher = new Blake3Hasher();
  let filled = 0;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + BLOCK_BYTES - filled);
      hasher.update(part);
      at += part.length;
      filled += part.length;
      if (filled < BLOCK_BYTES) continue;
      hashes.push(hasher.digestBuffer());
      hasher = new Blake3Hasher();
      filled = 0;
    }
  }
  if (filled > 0) hashes.push(hasher.digestBuffer());
  return Buffer.concat(hashes);
}

/** The first block of `bytes` that is not as `hashes` says, counted from the first of both; undefined when all are. */
export function firstBadBlock(bytes: Buffer, hashes: Buffer): number | undefined {
  for (let block = 0; block * BLOCK_BYTES < bytes.length; block++) {
    // As text: a buffer from native code costs the garbage collector more than the hashing costs.
    const own = blake3UrlSafeBase64(bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    if (!own.startsWith(hashes.toString('base64url', block * HASH_BYTES, (block + 1) * HASH_BYTES))) return block;
  }
  return undefined;
}

/** The file that holds a sealed blob's hashes: it proves itself, so a torn one is noticed. */
export function encodeHashes(size: number, hashes: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeBigUInt64LE(BigInt(size), 8);
  const body = Buffer.concat([header, hashes]);
  return Buffer.concat([body, blake3(body)]);
}

/** Undefined when the file is torn, or is not of a blob of this size. */
export function decodeHashes(file: Buffer, size: number): Buffer | undefined {
  const end = HEADER_BYTES + blockCount(size) * HASH_BYTES;
  if (file.length !== end + HASH_BYTES || !file.subarray(0, 8).equals(MAGIC)) return undefined;
  if (file.readBigUInt64LE(8) !== BigInt(size) || !blake3(file.subarray(0, end)).equals(file.subarray(end)))
    return undefined;
  return file.subarray(HEADER_BYTES, end);
}

/** What a checked read works on. */
export interface CheckedFile {
  readonly handle: FileHandle;
  readonly size: number;
  readonly hashes: Buffer;
}

export type CheckedRead =
  | { readonly ok: true; readonly bytes: number }
  /** The file lies from this block on. */
  | { readonly ok: false; readonly block: number };

/** A reader of one file. It keeps a block of its own for offsets that fall inside a block. */
export function checkedReader(
  file: CheckedFile,
): (into: Buffer, offset: number, limit: number) => Promise<CheckedRead> {
  let scratch: Buffer | undefined;
  return async (into, offset, limit) => {
    const block = Math.floor(offset / BLOCK_BYTES);
    const skip = offset - block * BLOCK_BYTES;
    const direct = skip === 0 && Math.min(into.length, limit - offset) >= Math.min(BLOCK_BYTES, file.size - offset);
    if (direct) return readBlocks(file, into, block, limit);

    scratch ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const read = await readBlocks(file, scratch, block, Math.min(file.size, (block + 1) * BLOCK_BYTES));
    if (!read.ok) return read;
    const bytes = scratch.copy(into, 0, skip, Math.min(read.bytes, skip + limit - offset));
    return { ok: true, bytes };
  };
}

/** Reads whole blocks, as many as fit, and checks each one. */
async function readBlocks(file: CheckedFile, into: Buffer, block: number, limit: number): Promise<CheckedRead> {
  const offset = block * BLOCK_BYTES;
  const whole = Math.min(limit, file.size) - offset;
  const length =
    whole <= into.length && offset + whole === file.size
      ? whole
      : Math.floor(Math.min(into.length, whole) / BLOCK_BYTES) * BLOCK_BYTES;
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.handle.read(into, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const bad = firstBadBlock(into.subarray(0, filled), file.hashes.subarray(block * HASH_BYTES));
  if (bad !== undefined) return { ok: false, block: block + bad };
  if (filled < length) return { ok: false, block: block + Math.floor(filled / BLOCK_BYTES) };
  return { ok: true, bytes: filled };
}
