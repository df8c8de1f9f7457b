import type { FileHandle } from 'node:fs/promises';
import { BLOCK_BYTES, type PiecePlan, pieceSpan } from '@drayage/core';
import { blockCount, firstBadBlock, HASH_BYTES } from './blocks.ts';

const MAGIC = Buffer.from('DRAYMAP1');
const HEADER_BYTES = 16;
/** Here on a member's word alone. */
export const HERE = 1;
/** Here from the origin, or proven once: readers may see it before the whole digest is proven. */
export const SURE = 2;

/** One record per piece: whether it is here, and the hashes of its blocks. Written after the piece's bytes are. */
export interface DraftMap {
  /** 0, `HERE` or `SURE`. */
  readonly present: Uint8Array;
  /** The hashes of all blocks of the blob; those of absent pieces mean nothing. */
  readonly hashes: Buffer;
}

export function emptyMap(plan: PiecePlan): DraftMap {
  return { present: new Uint8Array(plan.count), hashes: Buffer.alloc(blockCount(plan.size) * HASH_BYTES) };
}

/** What an earlier process noted down. A claim only: the bytes are hashed again before they count. */
export async function readMap(file: FileHandle, plan: PiecePlan): Promise<DraftMap> {
  const map = emptyMap(plan);
  const bytes = await file.readFile();
  if (
    bytes.length < HEADER_BYTES ||
    !bytes.subarray(0, 8).equals(MAGIC) ||
    bytes.readBigUInt64LE(8) !== BigInt(plan.size)
  )
    return map;
  for (let piece = 0; piece < plan.count; piece++) {
    const at = HEADER_BYTES + piece * recordBytes(plan);
    const span = hashSpan(plan, piece);
    const length = span.end - span.start;
    const mark = bytes[at];
    if ((mark !== HERE && mark !== SURE) || bytes.length < at + 1 + length) continue;
    map.present[piece] = mark;
    bytes.copy(map.hashes, span.start, at + 1, at + 1 + length);
  }
  return map;
}

/** The pieces that are not on the disk as the map says. */
export async function changedPieces(data: FileHandle, plan: PiecePlan, map: DraftMap): Promise<number[]> {
  const changed: number[] = [];
  const buffer = Buffer.allocUnsafeSlow(plan.pieceBytes);
  for (let piece = 0; piece < plan.count; piece++) {
    if (!map.present[piece]) continue;
    const { start, end } = pieceSpan(plan, piece);
    const { bytesRead } = await data.read(buffer, 0, end - start, start);
    const hashes = map.hashes.subarray(hashSpan(plan, piece).start);
    const isWhole = bytesRead === end - start;
    if (!isWhole || firstBadBlock(buffer.subarray(0, bytesRead), hashes) !== undefined) changed.push(piece);
  }
  return changed;
}

export async function startMap(file: FileHandle, plan: PiecePlan): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeBigUInt64LE(BigInt(plan.size), 8);
  await file.write(header, 0, HEADER_BYTES, 0);
}

export async function writeRecord(file: FileHandle, plan: PiecePlan, piece: number, map: DraftMap): Promise<void> {
  const span = hashSpan(plan, piece);
  const record = Buffer.alloc(1 + span.end - span.start);
  record[0] = map.present[piece] ?? 0;
  map.hashes.copy(record, 1, span.start, span.end);
  await file.write(record, 0, record.length, HEADER_BYTES + piece * recordBytes(plan));
}

/** Where a piece's hashes lie in the map's `hashes`. */
export function hashSpan(plan: PiecePlan, piece: number): { readonly start: number; readonly end: number } {
  const { start, end } = pieceSpan(plan, piece);
  return { start: (start / BLOCK_BYTES) * HASH_BYTES, end: blockCount(end) * HASH_BYTES };
}

function recordBytes(plan: PiecePlan): number {
  return 1 + (plan.pieceBytes / BLOCK_BYTES) * HASH_BYTES;
}
