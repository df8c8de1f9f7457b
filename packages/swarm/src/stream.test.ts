import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import type { Stream } from '@libp2p/interface';
import { expect, test, vi } from 'vitest';
import { startNodes } from './fake-swarm.ts';
import type { SwarmNode } from './node.ts';
import { toDuplex } from './stream.ts';

const PROTOCOL = '/drayage/test/1';
async function pair(): Promise<AsyncDisposable & { readonly near: Stream; readonly far: Stream }> {
  const swarm = await startNodes(2);
  const [one, two] = swarm.nodes as [SwarmNode, SwarmNode];
  const arrived = Promise.withResolvers<Stream>();
  await two.handle(PROTOCOL, (stream) => arrived.resolve(stream));
  const near = await one.dialProtocol(two.getMultiaddrs(), PROTOCOL);
  return {
    near,
    far: await arrived.promise,
    async [Symbol.asyncDispose]() {
      await swarm[Symbol.asyncDispose]();
    },
  };
}

test('what goes in comes out, whole and in order, at the pace of a slow reader', async () => {
  await using streams = await pair();
  const bytes = randomBytes(24 * 1024 * 1024);
  const hash = createHash('sha256');
  let [sent, taken, most] = [0, 0, 0];
  const source = Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += 65_536) {
        sent = at;
        most = Math.max(most, sent - taken);
        yield bytes.subarray(at, at + 65_536);
      }
    })(),
  );
  const sink = new Writable({
    async write(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      taken += chunk.length;
      await setImmediate();
      done();
    },
  });
  await Promise.all([pipeline(source, toDuplex(streams.near)), pipeline(toDuplex(streams.far), sink)]);
  expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(most).toBeLessThan(8 * 1024 * 1024);
});

test('a reader that gives up ends the writer', async () => {
  await using streams = await pair();
  const far = toDuplex(streams.far);
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(65_536);
    })(),
  );
  const writing = pipeline(endless, toDuplex(streams.near));
  await once(far, 'readable');
  far.destroy();
  await expect(writing).rejects.toThrow();
});

test('a writer that breaks off fails the reader', async () => {
  await using streams = await pair();
  const near = toDuplex(streams.near);
  near.on('error', () => {});
  const reading = pipeline(toDuplex(streams.far), async (chunks) => {
    for await (const _ of chunks) near.destroy(new Error('broken'));
  });
  near.write(Buffer.alloc(1000));
  await expect(reading).rejects.toThrow();
});

test('a stream that was refused before anybody listened fails at once', async () => {
  await using streams = await pair();
  streams.far.abort(new Error('not you'));
  await vi.waitFor(() => expect(streams.near.status).toBe('reset'));
  await expect(pipeline(toDuplex(streams.near), new Writable())).rejects.toThrow('refused at the other end');
});
