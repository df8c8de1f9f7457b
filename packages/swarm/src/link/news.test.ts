import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type FakeMember, fakeMember, linked } from './fake-member.ts';
import { NO_TERMS, openChannel } from './fake-pieces.ts';
import { CHANNELS_MAX, PIECES_MAX } from './frame.ts';

test('whoever opens a channel says where it is, and then what it offers and has no use for', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const digest = sha256(Buffer.from('a blob'));
  const channel = here.open(digest, { zone: 'rack-7.eu_1' }) ?? Number.NaN;
  here.offer(channel, false);
  here.offer(channel, true);
  here.have(channel, [], 5);
  here.have(channel, [3, 1], 6);
  here.lost(channel, [1]);
  here.decline(channel, 8);
  here.decline(channel, 1000);
  await other.told.line('declined 0 255');
  expect(other.told.lines).toEqual([
    `opened 0 ${digest} rack-7.eu_1`,
    ...['offered 0 politely', 'offered 0 insisting', 'has 0 with 5: ', 'has 0 with 6: 1 3', 'lost 0: 1'],
    ...['declined 0 8', 'declined 0 255'],
  ]);
  there.open(digest, NO_TERMS);
  expect(await one.told.line('opened')).toBe(`opened 0 ${digest} undefined`);
});

test('who was caught in a lie is told by name', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  here.caught(here.member);
  expect(await other.told.line('caught')).toBe(`caught ${here.member}`);
});

test('nothing is said on a channel that this side has not open', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const channel = openChannel(here);
  await other.told.line('opened');
  there.have(channel, [1], 0);
  there.lost(channel, [1]);
  there.offer(channel, true);
  there.decline(channel, 0);
  there.close(channel);
  expect(openChannel(there)).toBe(0);
  await one.told.line('opened 0');
  expect(one.told.lines).toHaveLength(1);
});

test('a blob is refused by opening and closing it at once, as often as there is one to refuse', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here, there] = await linked(one, other);
  const refusals = 2 * CHANNELS_MAX;
  for (let refused = 0; refused < refusals; refused++) {
    expect(openChannel(there)).toBe(0);
    there.close(0);
  }
  const channel = openChannel(there);
  there.offer(channel, false);
  await one.told.line('offered 0 politely');
  expect(one.told.lines.filter((line) => line === 'closed 0')).toHaveLength(refusals);
  expect(one.told.lines).toHaveLength(2 * refusals + 2);
  expect([here.isOpen(), there.isOpen()]).toEqual([true, true]);
});

test('a list of pieces of any size and spread arrives', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const [here] = await linked(one, other);
  const all = Array.from({ length: PIECES_MAX }, (_, piece) => piece);
  const spread = [PIECES_MAX - 1, 7, 131_080];
  const channels = [all, spread, []].map((pieces) => {
    const channel = openChannel(here);
    here.have(channel, pieces, 300);
    here.lost(channel, pieces);
    return channel;
  });
  expect(channels).toEqual([0, 1, 2]);
  await other.told.line('has 2 with 255: ');
  for (const start of ['has 0 with 255: ', 'lost 0: ']) expect(piecesIn(other, start)).toEqual(all);
  for (const start of ['has 1 with 255: ', 'lost 1: '])
    expect(piecesIn(other, start)).toEqual(spread.toSorted((first, second) => first - second));
  expect(other.told.lines.filter((line) => line.startsWith('lost 2'))).toEqual([]);
});

/** All pieces in the lines that begin like this. */
function piecesIn({ told }: FakeMember, start: string): number[] {
  const lists = told.lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
  return lists.flatMap((list) => list.split(' ').map(Number));
}
