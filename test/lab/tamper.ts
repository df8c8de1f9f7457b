import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '@drayage/core';
import { blake3 } from '@napi-rs/blake-hash';
import { MIB } from './images.ts';

const BLOCK_BYTES = 128 * 1024;
const HASHES_HEAD_BYTES = 16;
const FLIP_EVERY_BYTES = 4 * MIB;

/** Whether the store in this folder holds the blob for good. */
export function isSealed(data: string, digest: Digest): boolean {
  return existsSync(join(data, 'blobs', placeOf(digest))) && existsSync(join(data, 'pieces', placeOf(digest)));
}

/**
 * Flips bits all over a sealed blob, as bad memory or a bad disk would. With `isHidden` the hashes beside it are made
 * to match, as only somebody with a purpose would: then its agent cannot notice.
 */
export function tamper(data: string, digest: Digest, isHidden: boolean): void {
  const place = placeOf(digest);
  const blob = join(data, 'blobs', place);
  const bytes = readFileSync(blob);
  for (let at = 0; at < bytes.length; at += FLIP_EVERY_BYTES) bytes[at] = (bytes[at] ?? 0) ^ 1;
  overwrite(blob, bytes);
  if (isHidden) overwriteHashes(join(data, 'pieces', place), bytes);
}

function placeOf(digest: Digest): string {
  const hex = digest.slice('sha256:'.length);
  return join('sha256', hex.slice(0, 2), hex);
}

function overwriteHashes(path: string, bytes: Buffer): void {
  const head = readFileSync(path).subarray(0, HASHES_HEAD_BYTES);
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) hashes.push(blake3(bytes.subarray(at, at + BLOCK_BYTES)));
  const body = Buffer.concat([head, ...hashes]);
  overwrite(path, Buffer.concat([body, blake3(body)]));
}

function overwrite(path: string, bytes: Buffer): void {
  chmodSync(path, 0o600);
  writeFileSync(path, bytes);
  chmodSync(path, 0o400);
}
