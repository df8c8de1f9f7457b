import { Duplex } from 'node:stream';
import type { Stream } from '@libp2p/interface';

/**
 * A libp2p stream as a Node stream. libp2p's own iterator buffers without limit and its `onDrain()` holds back only once,
 * so this is the one place where back-pressure is handled; it needs yamux windows below the read buffer's 4 MiB.
 */
export function toDuplex(stream: Stream): Duplex {
  let written: ((error?: Error) => void) | undefined;
  const settle = (error?: Error) => {
    const done = written;
    written = undefined;
    done?.(error);
  };

  const duplex = new Duplex({
    read() {
      if (stream.readStatus === 'paused') stream.resume();
    },
    write(chunk: Uint8Array, _encoding, done) {
      try {
        if (stream.send(chunk)) done();
        else written = done;
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
    final(done) {
      stream.close().then(() => done(), done);
    },
    destroy(error, done) {
      stream.abort(error ?? new Error('the stream was given up'));
      done(error);
    },
  });

  // It tells nobody any more.
  if (stream.status === 'reset' || stream.status === 'aborted')
    duplex.destroy(new Error('the stream was refused at the other end'));
  stream.addEventListener('message', ({ data }) => {
    const isFull = !duplex.push(data.subarray());
    if (isFull && stream.readStatus === 'readable') stream.pause();
  });
  stream.addEventListener('drain', () => settle());
  stream.addEventListener('end', () => duplex.push(null));
  stream.addEventListener('close', ({ error }) => {
    settle(error ?? new Error('the stream closed before everything was sent'));
    if (error) duplex.destroy(error);
  });
  return duplex;
}
