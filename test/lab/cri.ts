import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';

const LENGTH_BYTES = 4;

/**
 * Asks containerd as the kubelet does, with a pull secret if there is one: one gRPC call of the image service, written out by hand, because the two
 * messages it needs are smaller than any client for them. Throws with the status message.
 */
export async function callCri(
  socket: string,
  method: 'PullImage' | 'RemoveImage',
  image: string,
  login?: string,
): Promise<string> {
  const [name = '', password = ''] = login?.split(':') ?? [];
  const credential = Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(password))]);
  const asked = field(1, field(1, Buffer.from(image)));
  const message = login === undefined ? asked : Buffer.concat([asked, field(2, credential)]);
  const frame = Buffer.concat([Buffer.alloc(1 + LENGTH_BYTES), message]);
  frame.writeUInt32BE(message.length, 1);
  const session = connect('http://localhost', { createConnection: () => connectSocket(socket) });
  try {
    return await new Promise<string>((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': `/runtime.v1.ImageService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      let status: unknown;
      let said: unknown;
      const note = (headers: Record<string, unknown>) => {
        status = headers['grpc-status'] ?? status;
        said = headers['grpc-message'] ?? said;
      };
      stream.on('response', note).on('trailers', note);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('error', reject);
      stream.once('end', () => {
        const answer = Buffer.concat(chunks)
          .subarray(1 + LENGTH_BYTES)
          .toString('latin1');
        if (status === '0') resolve(answer);
        else reject(new Error(`${method} ${image}: ${decodeURIComponent(String(said))}`));
      });
      stream.end(frame);
    });
  } finally {
    session.close();
  }
}

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}
