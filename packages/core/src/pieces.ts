const KIB = 1024;
const MIB = 1024 * KIB;

/** The unit that is checked when bytes are read: small enough that five hundred readers fit in memory. */
export const BLOCK_BYTES: number = 128 * KIB;

/** The largest blob that is taken in. */
export const BLOB_BYTES_MAX: number = 1024 * 1024 * MIB;

/** How a blob is cut into pieces, the unit that is fetched. Known from the size alone, so no one negotiates. */
export interface PiecePlan {
  readonly size: number;
  readonly pieceBytes: number;
  readonly count: number;
}

export function planPieces(size: number): PiecePlan {
  let pieceBytes = 256 * KIB;
  while (pieceBytes < 4 * MIB && pieceBytes * 512 < size) pieceBytes *= 2;
  return { size, pieceBytes, count: Math.ceil(size / pieceBytes) };
}

export interface Span {
  readonly start: number;
  /** The first byte that is no longer part of it. */
  readonly end: number;
}

export function pieceSpan(plan: PiecePlan, piece: number): Span {
  const start = piece * plan.pieceBytes;
  return { start, end: Math.min(start + plan.pieceBytes, plan.size) };
}

export function pieceAt(plan: PiecePlan, offset: number): number {
  return Math.floor(offset / plan.pieceBytes);
}
