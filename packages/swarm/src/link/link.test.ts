import { createHash, randomBytes } from 'node:crypto';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type FakeMember, fakeMember } from './fake-member.ts';
import type { Link, Outgoing, Wanted } from './types.ts';

const MIB = 1024 * 1024;
const DIGEST = sha256(Buffer.from('a blob'));

/** A piece of these bytes, as the answer to a want. */
function outgoing({ channel, piece }: Wanted, bytes: Buffer): Outgoing {
  return {
    channel,
    piece,
    length: bytes.length,
    hash: createHash('sha256').update(bytes).digest(),
    async read(into, offset) {
      return bytes.copy(into, 0, offset, offset + into.length);
    },
  };
}

/** Answers every want with a piece of these. */
function serve({ told }: FakeMember, pieces: readonly Buffer[]): void {
  told.onWant = (wanted, link) => void link.send(outgoing(wanted, pieces[wanted.piece] ?? Buffer.alloc(1)));
}

/** Gathers what arrives, piece by piece. */
function gather({ told }: FakeMember): Map<number, Buffer[]> {
  const gathered = new Map<number, Buffer[]>();
  told.onPart = ({ piece, bytes }) => {
    gathered.set(piece, [...(gathered.get(piece) ?? []), Buffer.from(bytes)]);
    return undefined;
  };
  return gathered;
}

function openChannel(link: Link): number {
  const channel = link.open(DIGEST);
  if (channel === undefined) throw new Error('no channel');
  return channel;
}

test('a piece arrives whole and in order, with the hash that was attested, both ways at once', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const pieces = [randomBytes(4 * MIB), randomBytes(300_001), randomBytes(1)];
  const there = await one.dial(other);
  await other.told.event('link_opened');
  const back = other.told.links[0];
  if (back === undefined) throw new Error('no link');
  const hashes = new Set<string>();
  for (const member of [one, other]) serve(member, pieces);
  const gathered = [one, other].map(gather);
  const onPart = one.told.onPart;
  one.told.onPart = (part, link) => {
    hashes.add(part.hash.toString('hex'));
    return onPart(part, link);
  };
  for (const link of [there, back]) {
    const channel = openChannel(link);
    for (const [piece, bytes] of pieces.entries())
      expect(link.want({ channel, piece, length: bytes.length, inFlight: piece })).toBe(true);
  }
  for (const { told } of [one, other]) for (const piece of pieces.keys()) await told.line(`whole 0 ${piece}`);
  for (const each of gathered)
    for (const [piece, bytes] of pieces.entries())
      expect(Buffer.concat(each.get(piece) ?? []).equals(bytes)).toBe(true);
  expect(hashes).toEqual(new Set(pieces.map((bytes) => createHash('sha256').update(bytes).digest('hex'))));
  expect(other.told.lines).toContain('wants 0 2 2');
  expect(there.rates().receivedBytes).toBeGreaterThan(4 * MIB);
});
