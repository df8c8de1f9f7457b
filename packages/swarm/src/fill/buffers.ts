/** Bytes of pieces on their way to the disk, over all fills. */
const HELD_BYTES_MAX: number = 24 * 1024 * 1024;

/** Buffers for whole pieces, used again and again. */
export interface Buffers {
  /** Undefined when too many are in use: what is not asked for needs no room. */
  take(bytes: number): Buffer | undefined;
  /** The same for bytes that come in any case. */
  demand(bytes: number): Buffer;
  /** Takes a buffer back, once. */
  give(buffer: Buffer): void;
  inUseBytes(): number;
}

export function pieceBuffers(heldBytesMax: number = HELD_BYTES_MAX): Buffers {
  const free = new Map<number, Buffer[]>();
  let inUse = 0;
  let idle = 0;

  function makeRoom(bytes: number): void {
    for (const [size, buffers] of free) {
      while (inUse + idle + bytes > heldBytesMax && buffers.pop()) idle -= size;
    }
  }

  function demand(bytes: number): Buffer {
    const size = roundUp(bytes);
    const known = free.get(size)?.pop();
    if (known) idle -= size;
    else makeRoom(size);
    inUse += size;
    return (known ?? Buffer.allocUnsafeSlow(size)).subarray(0, bytes);
  }

  return {
    demand,
    inUseBytes: () => inUse,
    take: (bytes) => (inUse + roundUp(bytes) > heldBytesMax && inUse > 0 ? undefined : demand(bytes)),
    give(buffer) {
      const whole = Buffer.from(buffer.buffer);
      inUse -= whole.length;
      idle += whole.length;
      const buffers = free.get(whole.length) ?? [];
      buffers.push(whole);
      free.set(whole.length, buffers);
    },
  };
}

/** A power of two, so that the last piece of one blob fits where another blob's was. */
function roundUp(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1024, bytes)));
}
