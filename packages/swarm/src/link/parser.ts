import { decodeHead, FRAME, type FrameHead, HEAD_BYTES } from './frame.ts';
import { ATTESTATION_BYTES } from './types.ts';

/** Who takes what a link reads. A promise holds everything back until it resolves. */
export interface FrameSink {
  /** A whole frame that carries no chunk. The payload is good until this returns. */
  frame(head: FrameHead, payload: Buffer): void;
  /** The head of a chunk; the attestation comes with the first of a piece. */
  chunk(head: FrameHead, attestation: Buffer | undefined): Promise<void> | undefined;
  /** What came of that chunk. The bytes are good until this returns, or until its promise resolves. */
  bytes(bytes: Buffer): Promise<void> | undefined;
}

/** Takes the bytes of a link as they come; they must not change before its promise, if any, resolves. */
export type Feed = (bytes: Buffer) => Promise<void> | undefined;

const NOTHING = Buffer.alloc(0);

/** Cuts a stream of bytes into frames, keeping at most one small payload. Throws `malformed` where it makes no sense. */
export function frameParser(sink: FrameSink): Feed {
  const headBytes = Buffer.alloc(HEAD_BYTES);
  let head: FrameHead | undefined;
  let partial = headBytes;
  let needed = HEAD_BYTES;
  let filled = 0;
  let chunkLeft = 0;
  return (bytes) => feed(bytes, 0);

  function feed(bytes: Buffer, from: number): Promise<void> | undefined {
    for (let at = from; at < bytes.length; ) {
      const taken = Math.min(bytes.length - at, chunkLeft > 0 ? chunkLeft : needed - filled);
      const part = bytes.subarray(at, at + taken);
      at += taken;
      const wait = chunkLeft > 0 ? passOn(part) : gather(part);
      if (wait !== undefined) return wait.then(() => feed(bytes, at));
    }
    return undefined;
  }

  function passOn(part: Buffer): Promise<void> | undefined {
    chunkLeft -= part.length;
    return sink.bytes(part);
  }

  function gather(part: Buffer): Promise<void> | undefined {
    if (filled === 0 && part.length === needed) return complete(part);
    if (filled === 0 && head !== undefined) partial = Buffer.allocUnsafe(needed);
    part.copy(partial, filled);
    filled += part.length;
    return filled === needed ? complete(partial) : undefined;
  }

  /** With everything that was needed at hand: a head, or what belongs to one. */
  function complete(block: Buffer): Promise<void> | undefined {
    filled = 0;
    let payload = block;
    if (head === undefined) {
      head = decodeHead(block);
      needed = head.type !== FRAME.piece ? head.length : head.offset === 0 ? ATTESTATION_BYTES : 0;
      if (needed > 0) return undefined;
      payload = NOTHING;
    }
    const whole = head;
    head = undefined;
    partial = headBytes;
    needed = HEAD_BYTES;
    if (whole.type === FRAME.piece) {
      chunkLeft = whole.length - payload.length;
      return sink.chunk(whole, payload.length > 0 ? Buffer.from(payload) : undefined);
    }
    sink.frame(whole, payload);
    return undefined;
  }
}
