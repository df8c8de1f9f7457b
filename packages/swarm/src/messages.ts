import type { Readable } from 'node:stream';

/** The largest control message: a thousand digests fit, or the bitmaps of a very large blob. */
const MESSAGE_BYTES_MAX = 256 * 1024;
const LENGTH_BYTES = 4;

/** A message with its length before it. Throws when it is too large to be read at the other end. */
export function encodeMessage(message: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  if (text.length > MESSAGE_BYTES_MAX) throw new Error(`a control message of ${text.length} bytes is too large`);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/** The messages of a stream as they come, with their size. Throws at the first that is too large or no JSON. */
export async function* readMessages(stream: Readable): AsyncGenerator<ReadMessage> {
  // Joined only when a message is whole: a member that sends byte by byte must not have us copy it all for each.
  let chunks: Buffer[] = [];
  let bytes = 0;
  let wanted = LENGTH_BYTES;
  for await (const chunk of stream) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < wanted) continue;
    let rest = Buffer.concat(chunks);
    for (wanted = wantedOf(rest); rest.length >= wanted && rest.length >= LENGTH_BYTES; wanted = wantedOf(rest)) {
      yield { message: JSON.parse(rest.toString('utf8', LENGTH_BYTES, wanted)), bytes: wanted };
      rest = rest.subarray(wanted);
    }
    chunks = rest.length === 0 ? [] : [rest];
    bytes = rest.length;
  }
  if (bytes > 0) throw new Error('a control message was cut off');
}

export interface ReadMessage {
  readonly message: unknown;
  readonly bytes: number;
}

/** How many bytes the first message takes, as far as can be told. */
function wantedOf(bytes: Buffer): number {
  if (bytes.length < LENGTH_BYTES) return LENGTH_BYTES;
  const length = bytes.readUInt32BE();
  if (length > MESSAGE_BYTES_MAX) throw new Error(`a control message of ${length} bytes is too large`);
  return LENGTH_BYTES + length;
}
