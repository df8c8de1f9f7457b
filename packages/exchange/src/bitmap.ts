/** A set of pieces, one bit each. */
export type Bitmap = Uint32Array;

export function emptyBitmap(count: number): Bitmap {
  return new Uint32Array((count + 31) >>> 5);
}

export function fullBitmap(count: number): Bitmap {
  const bits = emptyBitmap(count).fill(0xffffffff);
  if (count & 31) bits[bits.length - 1] = 0xffffffff >>> (32 - (count & 31));
  return bits;
}

export function hasPiece(bits: Bitmap, piece: number): boolean {
  return (((bits[piece >>> 5] ?? 0) >>> (piece & 31)) & 1) === 1;
}

export function addPiece(bits: Bitmap, piece: number): void {
  const word = piece >>> 5;
  bits[word] = (bits[word] ?? 0) | (1 << (piece & 31));
}

export function removePiece(bits: Bitmap, piece: number): void {
  const word = piece >>> 5;
  bits[word] = (bits[word] ?? 0) & ~(1 << (piece & 31));
}

/** Whether `bits` has a piece that `others` lacks. */
export function hasMoreThan(bits: Bitmap, others: Bitmap): boolean {
  for (let word = 0; word < bits.length; word++) if ((bits[word] ?? 0) & ~(others[word] ?? 0)) return true;
  return false;
}

/** The first piece at or after `from` that is not in the set; `count` when there is none. */
export function firstAbsent(bits: Bitmap, from: number, count: number): number {
  for (let piece = from; piece < count; ) {
    const absent = ~(bits[piece >>> 5] ?? 0) & (0xffffffff << (piece & 31));
    if (absent !== 0) return Math.min(count, (piece & ~31) + lowestBit(absent));
    piece = (piece & ~31) + 32;
  }
  return count;
}

export function listPieces(bits: Bitmap): number[] {
  const pieces: number[] = [];
  for (let word = 0; word < bits.length; word++) {
    for (let rest = bits[word] ?? 0; rest !== 0; rest &= rest - 1) pieces.push((word << 5) + lowestBit(rest));
  }
  return pieces;
}

/** The place of the lowest bit that is set. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
