/** A chunk of a piece that waits for its turn on the connection. */
interface Chunk {
  readonly bytes: Buffer;
  /** Called when the connection gets it. False when nobody wants it any more. */
  start(): boolean;
  /** Called when the connection has taken it, and also when it never will. */
  done(isTaken: boolean): void;
}

/** Orders what a link sends. */
export interface Writer {
  /** Sends a frame before any chunk. False when too much waits already. */
  frame(bytes: Buffer): boolean;
  chunk(chunk: Chunk): void;
  /** Whether the connection has something that it has not yet taken. */
  isBusy(): boolean;
  stop(): void;
}

/** Hands bytes to the connection, and calls back when it has taken them. */
export type Write = (bytes: Buffer, taken: () => void) => void;

const FRAMES_BYTES_MAX: number = 1024 * 1024;

/** Writes one thing at a time: what the connection has not got is still ours to order. */
export function openWriter(write: Write): Writer {
  const chunks: Chunk[] = [];
  let frames: Buffer[] = [];
  let framesBytes = 0;
  let handed: Chunk | undefined;
  let isBusy = false;
  let isStopped = false;
  let isFlushing = false;

  return {
    frame(bytes) {
      if (isStopped) return true;
      if (framesBytes + bytes.length > FRAMES_BYTES_MAX) return false;
      frames.push(bytes);
      framesBytes += bytes.length;
      flushSoon();
      return true;
    },
    chunk(chunk) {
      if (isStopped) return chunk.done(false);
      chunks.push(chunk);
      flush();
    },
    isBusy: () => isBusy,
    stop() {
      isStopped = true;
      frames = [];
      handed?.done(false);
      for (const chunk of chunks.splice(0)) chunk.done(false);
    },
  };

  /** What is said in one go costs one write: most frames are a few bytes, and a write costs as much as kilobytes. */
  function flushSoon(): void {
    if (isFlushing) return;
    isFlushing = true;
    setImmediate(() => {
      isFlushing = false;
      flush();
    });
  }

  function flush(): void {
    if (isBusy || isStopped) return;
    const bytes = frames.length > 0 ? takeFrames() : takeChunk();
    if (bytes === undefined) return;
    isBusy = true;
    write(bytes, () => {
      isBusy = false;
      const taken = handed;
      handed = undefined;
      if (!isStopped) taken?.done(true);
      flush();
    });
  }

  function takeFrames(): Buffer {
    const bytes = Buffer.concat(frames);
    frames = [];
    framesBytes = 0;
    return bytes;
  }

  function takeChunk(): Buffer | undefined {
    for (let next = chunks.shift(); next !== undefined; next = chunks.shift()) {
      if (next.start()) {
        handed = next;
        return next.bytes;
      }
      next.done(false);
    }
    return undefined;
  }
}
