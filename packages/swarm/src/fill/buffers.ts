import type { Digest } from '@drayage/core';

/** Bytes of pieces on their way to the disk, over all fills. */
const HELD_BYTES_MAX: number = 24 * 1024 * 1024;
/** This share is made before a buffer is used again: half of what members ask for came within the last 8 MiB. */
const REMEMBERED_SHARE = 1 / 3;

/** Buffers for whole pieces, used again and again: first the latest that nobody may ask for, warm as it is, else the oldest. */
export interface Buffers {
  /** Undefined when too many are in use: what is not asked for needs no room. */
  take(bytes: number): Buffer | undefined;
  /** The same for bytes that come in any case. */
  demand(bytes: number): Buffer;
  /** Takes a buffer back, once. With a name, what is in it can be had until it is used again. */
  give(buffer: Buffer, name?: string): void;
  /** What is in an idle buffer, good until the caller lets others run. */
  recall(name: string): Buffer | undefined;
  forget(name: string): void;
  inUseBytes(): number;
}

interface Idle {
  readonly buffer: Buffer;
  readonly name: string | undefined;
}

export function pieceBuffers(heldBytesMax: number = HELD_BYTES_MAX): Buffers {
  const free = new Map<number, Idle[]>();
  const named = new Map<string, Buffer>();
  let inUse = 0;
  let idle = 0;

  function reuse(size: number): ArrayBufferLike | undefined {
    const buffers = free.get(size) ?? [];
    const isWarm = buffers.length > 0 && buffers.at(-1)?.name === undefined;
    if (!isWarm && inUse + idle + size <= heldBytesMax * REMEMBERED_SHARE) return undefined;
    return drop(size, isWarm ? buffers.pop() : buffers.shift());
  }

  function drop(size: number, { buffer, name }: Partial<Idle> = {}): ArrayBufferLike | undefined {
    if (buffer === undefined) return undefined;
    idle -= size;
    if (name !== undefined && named.get(name) === buffer) named.delete(name);
    return buffer.buffer;
  }

  function makeRoom(bytes: number): void {
    for (const [size, buffers] of free) while (inUse + idle + bytes > heldBytesMax && drop(size, buffers.shift()));
  }

  function demand(bytes: number): Buffer {
    const size = roundUp(bytes);
    const known = reuse(size);
    if (!known) makeRoom(size);
    inUse += size;
    return Buffer.from(known ?? Buffer.allocUnsafeSlow(size).buffer, 0, bytes);
  }

  return {
    demand,
    inUseBytes: () => inUse,
    take: (bytes) => (inUse + roundUp(bytes) > heldBytesMax && inUse > 0 ? undefined : demand(bytes)),
    give(buffer, name) {
      const size = buffer.buffer.byteLength;
      inUse -= size;
      idle += size;
      const buffers = free.get(size) ?? [];
      buffers.push({ buffer, name });
      free.set(size, buffers);
      if (name !== undefined) named.set(name, buffer);
    },
    recall: (name) => named.get(name),
    forget: (name) => void named.delete(name),
  };
}

/** Of a piece that is kept. */
export function nameOf(digest: Digest, piece: number): string {
  return `${piece} ${digest}`;
}

/** A power of two, so that the last piece of one blob fits where another blob's was. */
function roundUp(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1024, bytes)));
}
