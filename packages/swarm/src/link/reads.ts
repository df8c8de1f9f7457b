import type { OnReadOpts } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Feed } from './parser.ts';

/** What one TLS record holds: Node hands over no more at once. */
const READ_BYTES = 16 * 1024;
/** Node goes on handing over what it had read when it is told to stop: one read of the socket, so far less than this. */
const BACKLOG_READS_MAX = 64;

/** How a link reads: into one buffer, used again and again, but for as long as somebody still needs what is in it. */
export interface Reads {
  /** For the options of a socket that is made to dial. */
  readonly onread: OnReadOpts;
  /** Lets what is read, from the first byte on, flow into `feed`; `fail` is told when that throws. */
  begin(socket: TLSSocket, feed: Feed, fail: (error: unknown) => void): void;
  /** Drops what is still read. */
  stop(): void;
  /** Whether reading waits for whoever was fed. */
  isHeldBack(): boolean;
}

export function reusedReads(): Reads {
  let buffer: Buffer | undefined;
  let isHeldBack = true;
  let backlog: Buffer[] = [];
  let goOn = () => {};
  let offer = (_bytes: Buffer): boolean => false;
  let tooMuch = () => {};

  return {
    onread: {
      buffer() {
        buffer ??= Buffer.allocUnsafeSlow(READ_BYTES);
        return buffer;
      },
      callback(count, read) {
        const bytes = Buffer.from(read.buffer, read.byteOffset, count);
        if (isHeldBack) backlog.push(bytes);
        else if (offer(bytes)) return true;
        // These bytes are still needed where they are, so the next ones go elsewhere.
        buffer = undefined;
        if (backlog.length > BACKLOG_READS_MAX) tooMuch();
        return false;
      },
    },
    begin(socket, feed, fail) {
      tooMuch = () => fail(new Error('reading does not stop'));
      goOn = () => {
        isHeldBack = false;
        for (let next = backlog.shift(); next !== undefined; next = backlog.shift()) if (!offer(next)) return;
        socket.resume();
      };
      offer = (bytes) => {
        try {
          const wait = feed(bytes);
          if (wait === undefined) return true;
          isHeldBack = true;
          wait.then(goOn, fail);
        } catch (error) {
          fail(error);
        }
        return false;
      };
      goOn();
    },
    stop() {
      backlog = [];
      goOn = () => {};
      offer = () => false;
    },
    isHeldBack: () => isHeldBack,
  };
}

type SocketInside = Record<symbol, unknown> & { _handle?: { useUserBuffer?(buffer: Uint8Array): void } };

/**
 * Makes an accepted socket read in this way. Node offers it for sockets that dial only, and a buffer per read costs
 * the receiver 0.7 processor seconds per GiB; so this sets what the option would have set. A Node that works
 * otherwise is read in the common way: slower, never wrong.
 */
export function readReused(socket: TLSSocket, { onread }: Reads): void {
  const { callback, buffer } = onread;
  const inside = socket as unknown as SocketInside; // parts of Node that no type tells of
  const [current, called, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
    Object.getOwnPropertySymbols(socket).find(({ description }) => description === name),
  );
  const handle = inside._handle;
  if (!current || !called || !next || typeof handle?.useUserBuffer !== 'function' || typeof buffer !== 'function') {
    socket.on('data', (bytes: Buffer) => {
      if (!callback(bytes.length, bytes)) socket.pause();
    });
    return;
  }
  const first = buffer();
  inside[current] = first;
  inside[called] = callback;
  inside[next] = buffer;
  handle.useUserBuffer(first);
}
