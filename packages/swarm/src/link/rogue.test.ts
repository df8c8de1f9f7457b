import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { sha256 } from '@drayage/core';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { WANTS_MAX } from './asked.ts';
import { DOOR_LIMITS } from './door.ts';
import { type FakeMember, fakeMember } from './fake-member.ts';
import { gather, NO_TERMS, openChannel } from './fake-pieces.ts';
import { helloOf, rogueMember, stranger } from './fake-stranger.ts';
import { CHUNK_BYTES_MAX, encodeFrame, FRAME, HAVE_BYTES_MAX, HEAD_BYTES, QUESTION_BYTES_MAX } from './frame.ts';
import { linkIdentity } from './identity.ts';
import { encodeOpen } from './payload.ts';
import { ATTESTATION_BYTES } from './types.ts';

const TERMS = encodeOpen(sha256(Buffer.from('a blob')), NO_TERMS);
const OPEN = encodeFrame({ type: FRAME.open }, TERMS);
const WANT = encodeFrame({ type: FRAME.want });
const OFFER = encodeFrame({ type: FRAME.offer });
const NAME = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();

/** An OPEN with anything for a zone. */
function open(zone: string | Buffer): Buffer {
  return encodeFrame({ type: FRAME.open }, Buffer.concat([TERMS, Buffer.from(zone)]));
}

/** A head of raw fields, which need not make sense. */
function head(
  type: number,
  fields: { extra?: number; channel?: number; piece?: number; offset?: number; length?: number },
): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes[0] = type;
  bytes[1] = fields.extra ?? 0;
  bytes.writeUInt16BE(fields.channel ?? 0, 2);
  bytes.writeUInt32BE(fields.piece ?? 0, 4);
  bytes.writeUInt32BE(fields.offset ?? 0, 8);
  bytes.writeUInt32BE(fields.length ?? 0, 12);
  return bytes;
}

const offences: [what: string, reason: string, bytes: readonly Buffer[]][] = [
  ['a type that does not exist', 'malformed', [head(0x7f, {})]],
  ['a second proof', 'malformed', [head(FRAME.hello, { extra: 1, length: 64 })]],
  ['noise', 'malformed', [Buffer.alloc(4096, 0xee)]],
  ['an absurd size', 'malformed', [head(FRAME.open, { length: 0xffffffff })]],
  ['too large a chunk', 'malformed', [head(FRAME.piece, { length: CHUNK_BYTES_MAX + ATTESTATION_BYTES + 1 })]],
  ['a chunk without its attestation', 'malformed', [head(FRAME.piece, { length: ATTESTATION_BYTES })]],
  ['too long a list of pieces', 'malformed', [OPEN, head(FRAME.have, { length: HAVE_BYTES_MAX + 1 })]],
  ['a list of no whole numbers', 'malformed', [OPEN, encodeFrame({ type: FRAME.have, extra: 1 }, Buffer.alloc(5))]],
  ['more in flight than can be told', 'malformed', [OPEN, head(FRAME.have, { extra: 1, offset: 256 })]],
  ['a loss of nothing', 'malformed', [OPEN, head(FRAME.lost, { extra: 1 })]],
  ['a loss with transfers in flight', 'malformed', [OPEN, head(FRAME.lost, { offset: 1, length: 1 })]],
  [
    'a loss beyond the last piece',
    'malformed',
    [OPEN, encodeFrame({ type: FRAME.lost, extra: 1 }, Buffer.alloc(4, 1))],
  ],
  ['a loss on a channel that is not open', 'malformed', [encodeFrame({ type: FRAME.lost }, Buffer.of(1))]],
  ['an offer that more than insists', 'malformed', [OPEN, head(FRAME.offer, { extra: 2 })]],
  ['an offer of a piece', 'malformed', [OPEN, head(FRAME.offer, { piece: 1 })]],
  ['an offer on a channel that is not open', 'malformed', [OFFER]],
  ['the lie of nobody', 'malformed', [head(FRAME.caught, {})]],
  ['the lie of one with no name', 'malformed', [encodeFrame({ type: FRAME.caught }, Buffer.from('somebody'))]],
  ['an empty question', 'malformed', [head(FRAME.question, {})]],
  ['too long a question', 'malformed', [head(FRAME.question, { length: QUESTION_BYTES_MAX + 1 })]],
  ['too long an answer', 'malformed', [head(FRAME.answer, { length: QUESTION_BYTES_MAX + 1 })]],
  ['a question about a piece', 'malformed', [head(FRAME.question, { piece: 1, length: 1 })]],
  ['a decline with a payload', 'malformed', [OPEN, head(FRAME.decline, { length: 1 })]],
  ['a decline on a channel that is not open', 'malformed', [encodeFrame({ type: FRAME.decline })]],
  ['a piece beyond the last', 'malformed', [OPEN, head(FRAME.want, { piece: 0x40000 })]],
  ['a channel beyond the last', 'malformed', [head(FRAME.close, { channel: 1024 })]],
  ['a payload that has no place', 'malformed', [head(FRAME.ping, { length: 1 })]],
  ['a digest of no algorithm', 'malformed', [encodeFrame({ type: FRAME.open }, Buffer.alloc(60))]],
  ['a digest cut short', 'malformed', [encodeFrame({ type: FRAME.open }, Buffer.alloc(60, 2))]],
  ['a zone that cannot be one', 'malformed', [open('a zone')]],
  ['a zone of no text', 'malformed', [open(Buffer.of(0xff, 0xfe))]],
  ['a zone longer than any', 'malformed', [open('z'.repeat(65))]],
  ['a channel twice', 'malformed', [OPEN, OPEN]],
  ['a channel that is not open', 'malformed', [WANT]],
  ['a want twice', 'malformed', [OPEN, WANT, WANT]],
  [
    'too many wants',
    'excess',
    [OPEN, ...Array.from({ length: WANTS_MAX + 1 }, (_, piece) => encodeFrame({ type: FRAME.want, piece }))],
  ],
  [
    'a piece that nobody asked for',
    'unasked',
    [encodeFrame({ type: FRAME.piece }, Buffer.alloc(ATTESTATION_BYTES + 1))],
  ],
  ['a refusal of what nobody asked for', 'unasked', [encodeFrame({ type: FRAME.gone })]],
];

test.each(offences)('%s ends the link as %s, and only that', async (_what, reason, bytes) => {
  await using member = await fakeMember();
  await using honest = await fakeMember();
  const healthy = await honest.dial(member);
  const rogue = await rogueMember(member);
  rogue.end(Buffer.concat(bytes));
  await ended(member, reason);
  expect(healthy.isOpen()).toBe(true);
});

test.each([
  ['more of a piece than there is', 100, [[0, 101]]],
  ['a part that is not due', 100, [[50, 50]]],
  [
    'a part again',
    100,
    [
      [0, 50],
      [0, 50],
    ],
  ],
] as const)('%s ends the link', async (_what, length, chunks) => {
  await using member = await fakeMember();
  const kept = gather(member);
  const rogue = await rogueMember(member);
  const [link] = member.told.links;
  if (!link) throw new Error('no link');
  link.want({ channel: openChannel(link), piece: 3, length, inFlight: 0 });
  for (const [offset, bytes] of chunks) rogue.write(chunk(3, offset, bytes));
  await ended(member, 'unasked');
  expect(kept.get(3)?.length ?? 0).toBeLessThanOrEqual(50);
});

test('a connection that breaks at any byte of what it says harms nobody', async () => {
  const doorLimits = { ...DOOR_LIMITS, burst: 1000 };
  await using member = await fakeMember({ doorLimits });
  const identity = await linkIdentity(await generateKeyPair('Ed25519'));
  for (let at = 0; at < 200; at++) {
    const socket = await stranger(member, identity);
    const words = Buffer.concat([helloOf(socket, identity, member), OPEN, WANT, encodeFrame({ type: FRAME.ping })]);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(words.subarray(0, at), () => socket.destroy());
    await closed;
  }
  await using honest = await fakeMember();
  expect((await honest.dial(member)).isOpen()).toBe(true);
});

test('a member that says nothing any more is found out', async () => {
  await using member = await fakeMember({ limits: { lookEveryMs: 10, pingAfterMs: 50, silentMs: 150 } });
  const rogue = await rogueMember(member);
  await ended(member, 'silent');
  await closed(rogue);
});

test.each([
  ['offers', OFFER],
  ['declines', encodeFrame({ type: FRAME.decline })],
  ['news of nothing', encodeFrame({ type: FRAME.have, extra: 1 })],
  ['news of the same pieces', encodeFrame({ type: FRAME.have }, Buffer.alloc(HAVE_BYTES_MAX, 0xff))],
  ['losses', encodeFrame({ type: FRAME.lost }, Buffer.of(1))],
  ['wants called off', Buffer.concat([WANT, encodeFrame({ type: FRAME.cancel })])],
  ['channels opened and closed', Buffer.concat([encodeFrame({ type: FRAME.close }), OPEN])],
  ['accusations', encodeFrame({ type: FRAME.caught }, Buffer.from(NAME))],
  ['pings', encodeFrame({ type: FRAME.ping })],
])('a flood of %s ends the link, and only that', async (_what, words) => {
  await using member = await fakeMember({ limits: { talkBytesMax: 128 * 1024, talkBytesPerSecond: 1024 } });
  await using honest = await fakeMember();
  const healthy = await honest.dial(member);
  const rogue = await rogueMember(member);
  rogue.write(OPEN);
  const flood = Buffer.concat(Array.from({ length: Math.ceil(32_768 / words.length) }, () => words));
  rogue.resume();
  while (!rogue.destroyed) await new Promise<void>((resolve) => rogue.write(flood, () => resolve()));
  await ended(member, 'excess');
  expect(healthy.isOpen()).toBe(true);
});

test('a piece that comes byte by byte is a flood too, and one in useful parts is not', async () => {
  await using member = await fakeMember({ limits: { talkBytesMax: 64 * HEAD_BYTES, talkBytesPerSecond: 1 } });
  const kept = gather(member);
  const rogue = await rogueMember(member);
  const [link] = member.told.links;
  if (!link) throw new Error('no link');
  const length = 128 * 4096;
  const channel = openChannel(link);
  for (const piece of [0, 1]) link.want({ channel, piece, length, inFlight: 0 });
  for (let offset = 0; offset < length; offset += 4096) rogue.write(chunk(0, offset, 4096));
  await member.told.line('whole 0 0');
  rogue.write(Buffer.concat(Array.from({ length: 65 }, (_, offset) => chunk(1, offset, 1))));
  await ended(member, 'excess');
  expect(kept.get(1)).toHaveLength(64);
});

test('a member that asks without ever reading the answers is cut off before they fill the memory', async () => {
  await using member = await fakeMember({ limits: { talkBytesMax: Number.POSITIVE_INFINITY } });
  const rogue = await rogueMember(member);
  const pings = Buffer.concat(Array.from({ length: 4096 }, () => encodeFrame({ type: FRAME.ping })));
  while (!rogue.destroyed) await new Promise<void>((resolve) => rogue.write(pings, () => resolve()));
  await ended(member, 'stuck');
});

/** So many bytes of a piece, behind an attestation when they are its first. */
function chunk(piece: number, offset: number, bytes: number): Buffer {
  return encodeFrame(
    { type: FRAME.piece, piece, offset },
    Buffer.alloc(offset === 0 ? ATTESTATION_BYTES + bytes : bytes),
  );
}

async function ended({ told }: FakeMember, reason: string): Promise<void> {
  await told.line('ended');
  expect(told.lines.filter((line) => line.startsWith('ended'))).toEqual([`ended ${reason}`]);
  expect(told.events.filter(({ kind }) => kind === 'link_ended')).toMatchObject([{ reason }]);
}

async function closed(socket: TLSSocket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
}
