import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { AnswerBody } from './line.ts';
import { unavailable } from './refusal.ts';

const READ_BYTES = 256 * 1024;
/** TLS hands over a record at a time, of 16 KiB at most. */
const TLS_READ_BYTES = 32 * 1024;
const HEAD_BYTES_MAX = 64 * 1024;
/** Of buffers that wait for the next connection. */
const SPARE_MAX = 8;

/** How a connection hands over what it reads: into a few buffers, used again and again. */
export interface OnRead {
  /** Where the next bytes go. Asked for after each callback. */
  readonly buffer: () => Buffer;
  readonly callback: (bytes: number) => boolean;
}

export interface BulkParts {
  readonly origin: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Makes a connection that reads in this way. */
  readonly connector: (onread: OnRead) => buildConnector.connector;
  readonly idleMs: number;
  /** Buffers of connections that are over. Each run of pieces has its own, and what they leave behind adds up. */
  readonly spare: Buffer[];
  /** Called when the connection is done with, maybe more than once. */
  readonly closed: () => void;
}

export interface BulkAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: AnswerBody;
}

/**
 * A GET on a connection of its own, whose body comes through reused buffers: a chunk is good until the next is asked
 * for. A client that makes a buffer per read spends more on collecting them than on reading.
 * Undefined when the answer is of a form that is left to a full HTTP client.
 */
export async function bulkGet(parts: BulkParts, signal: AbortSignal): Promise<BulkAnswer | undefined> {
  const reader = await openReader(parts, signal);
  try {
    const { rest, status, headers } = await readHead(parts.origin, reader);
    const length = headers['content-length'];
    const isPlain =
      typeof length === 'string' && /^\d{1,15}$/.test(length) && headers['transfer-encoding'] === undefined;
    if (isPlain) return { status, headers, body: bodyOf(parts.origin, reader, { rest, length: Number(length) }) };
    reader.close();
    return undefined;
  } catch (error) {
    reader.close();
    throw error;
  }
}

function bodyOf(origin: string, reader: Reader, { rest, length }: { rest: Buffer; length: number }): AnswerBody {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let left = length;
    let chunk: Buffer | undefined = rest;
    try {
      while (left > 0) {
        if (chunk === undefined) throw unavailable(origin, `ended a body ${left} bytes too early`);
        const useful: Buffer = chunk.subarray(0, left);
        left -= useful.length;
        if (useful.length > 0) yield useful;
        if (left > 0) chunk = await reader.next();
      }
    } finally {
      // Whoever asked for more than there is, or comes back after the last chunk, is done with it.
      if (left === 0) reader.done();
      else reader.close();
    }
  }
  return {
    [Symbol.asyncIterator]: chunks,
    destroy: () => reader.close(),
    dump: async () => reader.close(),
  };
}

interface Reader {
  /** What came next, good until the next call. Undefined at the end. */
  next(): Promise<Buffer | undefined>;
  close(): void;
  /** The same when nobody reads from what was taken any more. */
  done(): void;
}

async function openReader(parts: BulkParts, signal: AbortSignal): Promise<Reader> {
  const { url, headers, connector, idleMs } = parts;
  const arrivals = reusedBuffers(url.protocol === 'https:' ? TLS_READ_BYTES : READ_BYTES, parts.spare);
  let over: Error | 'ended' | undefined;
  let wake: (() => void) | undefined;
  const end = (why: Error | 'ended') => {
    over ??= why;
    wake?.();
  };
  const callback = (bytes: number) => {
    arrivals.filled(bytes);
    wake?.();
    // Asks to be left alone until the next chunk is wanted. TLS goes on all the same with what it has decrypted.
    return false;
  };
  const socket = await connected(connector({ buffer: arrivals.next, callback }), url, signal);
  const timer = setTimeout(() => wake && close(broken('ETIMEDOUT', `nothing came for ${idleMs} ms`)), idleMs).unref();
  const onAbort = () => close(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  socket.on('error', end);
  socket.on('end', () => end('ended'));
  socket.on('close', () => end('ended'));

  function close(why: Error = broken('ECONNABORTED', 'it is read no more')): void {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    end(why);
    parts.closed();
    socket.destroy();
  }

  socket.write(requestText(url, headers));
  return {
    close: () => close(),
    done() {
      close();
      // Who was called off may have left a write behind that still needs the bytes.
      if (signal.aborted) return;
      if (socket.closed) arrivals.release();
      else socket.once('close', arrivals.release);
    },
    async next() {
      const waiting = arrivals.take();
      if (waiting !== undefined) return waiting;
      if (over === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        timer.refresh();
        socket.resume();
        await promise;
        wake = undefined;
      }
      const chunk = arrivals.take();
      if (chunk === undefined && over instanceof Error) throw over;
      return chunk;
    },
  };
}

interface ReusedBuffers {
  /** A buffer that nobody reads from. */
  next(): Buffer;
  /** The last one given out holds so many bytes now. */
  filled(bytes: number): void;
  /** What came first of what was not taken yet. The chunk taken before may be written over from now on. */
  take(): Buffer | undefined;
  /** Leaves the buffers to the next connection. */
  release(): void;
}

function reusedBuffers(bufferBytes: number, spare: Buffer[]): ReusedBuffers {
  const free: Buffer[] = [];
  const waiting: { readonly buffer: Buffer; readonly bytes: number }[] = [];
  let filling: Buffer | undefined;
  let taken: Buffer | undefined;
  return {
    next() {
      filling = free.pop() ?? spareOf(spare, bufferBytes) ?? Buffer.allocUnsafeSlow(bufferBytes);
      return filling;
    },
    filled(bytes) {
      if (filling) waiting.push({ buffer: filling, bytes });
      filling = undefined;
    },
    take() {
      if (taken) free.push(taken);
      const first = waiting.shift();
      taken = first?.buffer;
      return first?.buffer.subarray(0, first.bytes);
    },
    release() {
      const all = [...free, ...waiting.map(({ buffer }) => buffer), filling, taken];
      spare.push(...all.filter((buffer) => buffer !== undefined).slice(0, SPARE_MAX - spare.length));
      free.length = 0;
      waiting.length = 0;
      filling = undefined;
      taken = undefined;
    },
  };
}

/** Of one origin some connections may be TLS, whose buffers are smaller. */
function spareOf(spare: Buffer[], bytes: number): Buffer | undefined {
  const at = spare.findIndex(({ length }) => length === bytes);
  return at < 0 ? undefined : spare.splice(at, 1)[0];
}

function connected(connect: buildConnector.connector, url: URL, signal: AbortSignal): Promise<Socket> {
  const { hostname, host, protocol, port } = url;
  const options = { hostname, host, protocol, port: port || (protocol === 'https:' ? '443' : '80') };
  return new Promise((resolve, reject) => {
    connect(options, (error, socket) => {
      if (signal.aborted) socket?.destroy();
      if (error || signal.aborted) reject(error ?? signal.reason);
      else resolve(socket as Socket);
    });
  });
}

function requestText({ host, pathname, search }: URL, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host, connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** An error as sockets have them, so that it is tried again and counted like those. */
function broken(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

interface Head {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  /** What came of the body with it. */
  readonly rest: Buffer;
}

async function readHead(origin: string, reader: Reader): Promise<Head> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk = await reader.next();
    if (chunk === undefined) throw broken('ECONNRESET', 'the connection was closed without an answer');
    const searchFrom = Math.max(0, head.length - 3);
    const before = head.length;
    head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES_MAX)]);
    const end = head.indexOf('\r\n\r\n', searchFrom);
    if (end >= 0)
      return { ...parseHead(origin, head.toString('latin1', 0, end)), rest: chunk.subarray(end + 4 - before) };
    if (head.length >= HEAD_BYTES_MAX) throw unavailable(origin, 'sent headers without end');
  }
}

function parseHead(origin: string, text: string): Pick<Head, 'status' | 'headers'> {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined) throw unavailable(origin, 'answered in no way that is understood');
  const headers: Record<string, string | string[]> = {};
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined) throw unavailable(origin, 'sent a malformed header');
    const key = name.toLowerCase();
    const earlier = headers[key];
    headers[key] = earlier === undefined ? value : [...(typeof earlier === 'string' ? [earlier] : earlier), value];
  }
  return { status: Number(status), headers };
}
