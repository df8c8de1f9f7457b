import type { Readable } from 'node:stream';

/** The largest control message: a thousand digests fit. */
const MESSAGE_BYTES_MAX = 96 * 1024;
const LENGTH_BYTES = 4;

/** A message with its length before it. Throws when it is too large to be read at the other end. */
export function encodeMessage(message: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  if (text.length > MESSAGE_BYTES_MAX) throw new Error(`a control message of ${text.length} bytes is too large`);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/** The messages of a stream as they come. Throws at the first that is too large or no JSON. */
export async function* readMessages(stream: Readable): AsyncGenerator<unknown> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      if (rest.length < LENGTH_BYTES) break;
      const length = rest.readUInt32BE();
      if (length > MESSAGE_BYTES_MAX) throw new Error(`a control message of ${length} bytes is too large`);
      if (rest.length < LENGTH_BYTES + length) break;
      yield JSON.parse(rest.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length));
      rest = rest.subarray(LENGTH_BYTES + length);
    }
  }
  if (rest.length > 0) throw new Error('a control message was cut off');
}
