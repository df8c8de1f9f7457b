import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { fakeMember } from './fake-member.ts';
import { openChannel, serve } from './fake-pieces.ts';
import { readReused, reusedReads } from './reads.ts';

test('both sides read into one buffer, on the Node this runs on', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  await one.dial(other);
  await other.told.event('link_opened');
  const piece = randomBytes(1024 * 1024);
  for (const { told } of [one, other]) {
    const memories = new Set<ArrayBufferLike>();
    told.onPart = ({ bytes }) => {
      memories.add(bytes.buffer);
      return undefined;
    };
    const [link] = told.links;
    serve(told === one.told ? other : one, [piece]);
    link?.want({ channel: openChannel(link), piece: 0, length: piece.length, inFlight: 0 });
    await told.line('whole 0 0');
    expect(memories.size).toBe(1);
  }
});

test('a Node that cannot be made to is read in the common way, and held back all the same', async () => {
  const socket = new PassThrough();
  const reads = reusedReads();
  readReused(socket as unknown as TLSSocket, reads); // a TCP socket has the same insides
  const sent = randomBytes(300_000);
  const fed: Buffer[] = [];
  let most = 0;
  let fedNow = 0;
  reads.begin(
    socket as unknown as TLSSocket, // a TCP socket has the same insides
    async (bytes) => {
      most = Math.max(most, ++fedNow);
      await turn();
      fed.push(Buffer.from(bytes));
      fedNow -= 1;
    },
    (error) => expect.unreachable(String(error)),
  );
  for (let at = 0; at < sent.length; at += 10_000) socket.write(sent.subarray(at, at + 10_000));
  while (Buffer.concat(fed).length < sent.length) await turn();
  expect(Buffer.concat(fed).equals(sent)).toBe(true);
  expect(most).toBe(1);
});

test('whoever is fed and throws ends the reading', async () => {
  const socket = new PassThrough();
  const reads = reusedReads();
  readReused(socket as unknown as TLSSocket, reads); // a TCP socket has the same insides
  const failed = Promise.withResolvers<unknown>();
  const feed = () => {
    throw new Error('no');
  };
  reads.begin(socket as unknown as TLSSocket, feed, failed.resolve); // a TCP socket has the same insides
  socket.write('anything');
  expect(await failed.promise).toMatchObject({ message: 'no' });
});
