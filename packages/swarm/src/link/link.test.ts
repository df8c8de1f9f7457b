import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Rate } from '@drayage/core';
import { expect, test } from 'vitest';
import { WANTS_MAX } from './asked.ts';
import { fakeMember, linked } from './fake-member.ts';
import { attestationOf, gather, openChannel, outgoing, serve } from './fake-pieces.ts';
import { CHANNELS_MAX, CHUNK_BYTES_MAX } from './frame.ts';
import type { Link } from './types.ts';

const MIB = 1024 * 1024;
const PIECES = [randomBytes(4 * MIB), randomBytes(300_001), randomBytes(1)];

function wantAll(link: Link, pieces: readonly Buffer[]): void {
  const channel = openChannel(link);
  for (const [piece, { length }] of pieces.entries())
    expect(link.want({ channel, piece, length, inFlight: piece })).toBe(true);
}

test('pieces arrive whole, with what was attested of them, both ways at once', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const ends = await linked(one, other);
  const attestations = new Set<string>();
  const gathered = [one, other].map((member) => {
    serve(member, PIECES);
    const kept = gather(member);
    const { onPart } = member.told;
    member.told.onPart = (part, link) => {
      attestations.add(part.attestation.toString('hex'));
      return onPart(part, link);
    };
    return kept;
  });
  for (const end of ends) wantAll(end, PIECES);
  for (const { told } of [one, other]) for (const piece of PIECES.keys()) await told.line(`whole 0 ${piece}`);
  for (const kept of gathered)
    for (const [piece, bytes] of PIECES.entries()) expect(kept.get(piece)?.equals(bytes)).toBe(true);
  expect(attestations).toEqual(new Set(PIECES.map((bytes) => attestationOf(bytes).toString('hex'))));
  expect(other.told.lines).toContain('wants 0 2 2');
  expect(ends[0].rates().receivedBytes).toBeGreaterThan(4 * MIB);
});

test.each(['dialler', 'acceptor'])('a %s that takes its time gets every byte as it was', async (side) => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const [slow, slowEnd, source] = side === 'dialler' ? [one, here, other] : [other, there, one];
  serve(source, PIECES);
  const kept = gather(slow, () => turn());
  wantAll(slowEnd, PIECES);
  for (const piece of PIECES.keys()) await slow.told.line(`whole 0 ${piece}`);
  await turn();
  for (const [piece, bytes] of PIECES.entries()) expect(kept.get(piece)?.equals(bytes)).toBe(true);
});

test('while the receiver does not go on, the sender reads no further than its few buffers and the connection', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember({ limits: { lookEveryMs: 25, stuckMs: 500 } });
  const [here] = await linked(one, other);
  let readBytes = 0;
  other.told.onWant = (wanted, link) => {
    const read = async (into: Buffer) => {
      readBytes += into.length;
      return into.length;
    };
    void link.send({ ...outgoing(wanted, Buffer.alloc(4 * MIB)), read });
  };
  one.told.onPart = () => new Promise(() => {});
  wantAll(
    here,
    Array.from({ length: WANTS_MAX }, () => Buffer.alloc(4 * MIB)),
  );
  await other.told.line('ended stuck');
  expect(readBytes).toBeGreaterThan(CHUNK_BYTES_MAX);
  expect(readBytes).toBeLessThan(32 * MIB);
});

test('questions and answers pass a link as they are, before the pieces that wait there', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  serve(other, PIECES);
  gather(one);
  wantAll(here, PIECES);
  await other.told.line('wants 0 0');
  here.question(Buffer.from('who?'));
  there.answer(Buffer.from('me'));
  await other.told.line('questioned who?');
  await one.told.line('whole 0 0');
  const lines = one.told.lines.filter((line) => /^(answered|whole)/.test(line));
  expect(lines[0]).toBe('answered me');
});

test('pieces that are sent at once take turns, chunk by chunk', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  const pieces = [randomBytes(MIB), randomBytes(MIB)];
  const sends: (() => void)[] = [];
  other.told.onWant = (wanted, link) => {
    sends.push(() => void link.send(outgoing(wanted, pieces[wanted.piece] ?? Buffer.alloc(0))));
    if (sends.length === 2) for (const send of sends) send();
  };
  const order: number[] = [];
  one.told.onPart = ({ piece, offset }) => {
    if (offset % CHUNK_BYTES_MAX === 0) order.push(piece);
    return undefined;
  };
  wantAll(here, pieces);
  for (const piece of pieces.keys()) await one.told.line(`whole 0 ${piece}`);
  expect(order).toEqual(Array.from({ length: (2 * MIB) / CHUNK_BYTES_MAX }, (_, at) => at % 2));
});

test('a piece that is called off stops, and can be asked for again', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const cancelled = Promise.withResolvers<boolean>();
  other.told.onWant = (wanted) => {
    const whole = outgoing(wanted, PIECES[0] ?? Buffer.alloc(0));
    // Beyond its first chunk, the piece is not read before it is called off.
    const read = async (into: Buffer, offset: number) => {
      if (offset > 0) await other.told.line('cancelled 0 0');
      return await whole.read(into, offset);
    };
    cancelled.resolve(there.send({ ...whole, read }));
  };
  let parts = 0;
  one.told.onPart = ({ piece }) => {
    parts += 1;
    here.cancel(0, piece);
    return undefined;
  };
  wantAll(here, [PIECES[0] ?? Buffer.alloc(0)]);
  expect(await cancelled.promise).toBe(false);
  expect(parts).toBe(1);
  serve(other, PIECES);
  const kept = gather(one);
  here.want({ channel: 0, piece: 1, length: PIECES[1]?.length ?? 0, inFlight: 0 });
  await one.told.line('whole 0 1');
  expect(here.want({ channel: 0, piece: 0, length: 4 * MIB, inFlight: 0 })).toBe(true);
  await one.told.line('whole 0 0');
  expect(kept.get(0)?.equals(PIECES[0] ?? Buffer.alloc(0))).toBe(true);
});

test('a channel that is given up takes its wants along, and its number is used again', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  wantAll(here, PIECES);
  here.close(0);
  expect(openChannel(here)).toBe(1);
  await other.told.line('opened 1');
  for (const line of ['cancelled 0 0', 'cancelled 0 1', 'cancelled 0 2', 'closed 0'])
    expect(other.told.lines).toContain(line);
  expect(await there.send(outgoing({ channel: 0, piece: 0, inFlight: 0 }, Buffer.alloc(1)))).toBe(false);
  there.have(openChannel(there), [1], 0);
  await one.told.line('has 0 with 0: 1');
  expect(openChannel(here)).toBe(0);
  expect(one.told.lines.filter((line) => line.startsWith('gone'))).toEqual([]);
});

test('what cannot be sent is answered, and frees its want', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const failed = Promise.withResolvers<unknown>();
  other.told.onWant = (wanted) => {
    const { channel, piece } = wanted;
    const read = async () => Promise.reject(new Error('the disk failed'));
    if (piece === 0) there.busy(channel, piece);
    else if (piece === 1) there.gone(channel, piece);
    else there.send({ ...outgoing(wanted, Buffer.alloc(9)), read }).catch(failed.resolve);
  };
  wantAll(here, PIECES);
  for (const line of ['busy 0 0', 'gone 0 1', 'gone 0 2']) expect(await one.told.line(line)).toBe(line);
  expect(await failed.promise).toMatchObject({ message: 'the disk failed' });
  expect(here.want({ channel: 0, piece: 2, length: 1, inFlight: 0 })).toBe(true);
});

test('a link is busy while the connection has not taken what was sent', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  serve(other, PIECES);
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
  one.told.onPart = () => held;
  expect(there.isBusy()).toBe(false);
  wantAll(
    here,
    Array.from({ length: WANTS_MAX }, (_, piece) => PIECES[piece] ?? Buffer.alloc(1)),
  );
  await other.told.line(`wants 0 ${WANTS_MAX - 1}`);
  while (!there.isBusy()) await turn();
  goOn();
  for (let piece = 0; piece < WANTS_MAX; piece++) await one.told.line(`whole 0 ${piece}`);
  while (there.isBusy()) await turn();
  expect(there.isOpen()).toBe(true);
  there.have(openChannel(there), [1], 0);
  there.end('closed');
  expect(there.isBusy()).toBe(false);
});

test('a piece with less or more than an attestation is not sent, and answered as gone', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  const failed = Promise.withResolvers<unknown>();
  other.told.onWant = (wanted, link) => {
    link.send({ ...outgoing(wanted, Buffer.alloc(9)), attestation: Buffer.alloc(32) }).catch(failed.resolve);
  };
  wantAll(here, [Buffer.alloc(9)]);
  expect(await failed.promise).toMatchObject({ message: 'a piece with an attestation of 32 bytes' });
  expect(await one.told.line('gone')).toBe('gone 0 0');
});

test('no more is asked for, and no more channels are opened, than the other side would bear', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  const channel = openChannel(here);
  const wants = Array.from({ length: WANTS_MAX + 1 }, (_, piece) =>
    here.want({ channel, piece, length: 1, inFlight: 0 }),
  );
  expect(wants.filter((isAsked) => !isAsked)).toHaveLength(1);
  for (let opened = 1; opened < CHANNELS_MAX; opened++) openChannel(here);
  expect(() => openChannel(here)).toThrow('no channel is left');
  await other.told.line(`opened ${CHANNELS_MAX - 1}`);
  expect(here.isOpen()).toBe(true);
});

test('bytes pass at the rates that are given', async () => {
  const rate = (): Rate & { taken: number; open: PromiseWithResolvers<void> } => ({
    taken: 0,
    open: Promise.withResolvers(),
    async take(bytes) {
      await this.open.promise;
      this.taken += bytes;
    },
  });
  const [upload, download] = [rate(), rate()];
  await using one = await fakeMember({ download });
  await using other = await fakeMember({ upload });
  const [here] = await linked(one, other);
  serve(other, PIECES);
  const kept = gather(one);
  wantAll(here, PIECES);
  await other.told.line('wants 0 2');
  upload.open.resolve();
  here.have(0, [1], 3);
  await other.told.line('has 0 with 3: 1');
  expect(kept.size).toBe(0);
  download.open.resolve();
  for (const piece of PIECES.keys()) await one.told.line(`whole 0 ${piece}`);
  for (const [piece, bytes] of PIECES.entries()) expect(kept.get(piece)?.equals(bytes)).toBe(true);
  const bytes = PIECES.reduce((sum, { length }) => sum + length, 0);
  expect([upload.taken >= bytes, download.taken >= bytes]).toEqual([true, true]);
});

test('a link that is not used ends, and one that is pinged lives until then', async () => {
  const limits = { lookEveryMs: 10, pingAfterMs: 20, silentMs: 150, idleMs: 400 };
  await using one = await fakeMember({ limits });
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  await one.told.line('ended idle');
  await other.told.line('ended left');
  expect(here.rates().roundTripMs).toBeGreaterThan(0);
  expect(here.want({ channel: 0, piece: 0, length: 1, inFlight: 0 })).toBe(false);
  expect(await here.send(outgoing({ channel: 0, piece: 0, inFlight: 0 }, Buffer.alloc(1)))).toBe(false);
});

test('one that holds back what it is sent still gives signs of life', async () => {
  await using one = await fakeMember({ limits: { lookEveryMs: 10, pingAfterMs: 40 } });
  await using other = await fakeMember({ limits: { lookEveryMs: 10, silentMs: 150, idleMs: 600 } });
  const [here] = await linked(one, other);
  serve(other, PIECES);
  one.told.onPart = () => new Promise(() => {});
  wantAll(here, PIECES);
  expect(await other.told.line('ended')).toBe('ended idle');
});

test('a handler that throws ends its link and nothing else', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  const [healthy] = await linked(one, other);
  other.told.onWant = () => {
    throw new Error('no');
  };
  wantAll(here, PIECES);
  await other.told.line('ended refused');
  await one.told.line('ended left');
  expect([here.isOpen(), healthy.isOpen()]).toEqual([false, true]);
});
