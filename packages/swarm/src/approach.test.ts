import { type Digest, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import type { Introduced } from './acquaintances.ts';
import { openApproach } from './approach.ts';
import type { Control } from './control.ts';
import { testMemberNames } from './fake-swarm.ts';

const digest: Digest = sha256(Buffer.from('wanted'));
const soon = () => AbortSignal.timeout(10_000);
const ADDRESSES = ['/ip4/10.0.0.1/tcp/5001'];

/** Members by how far they are from the digest: the first is the nearest. We are farther away than all of them. */
const names = await testMemberNames(12);
const placeOf = (member: string) => (member === 'self' ? 100 : names.indexOf(member));
const byPlace = (one: string, other: string) => placeOf(one) - placeOf(other);
const named = (places: readonly number[]) => places.map((place) => names[place] as string);

interface World {
  /** Whom we know, and whom each of them names when it is asked. */
  readonly known: readonly number[];
  readonly names: Readonly<Record<number, readonly number[]>>;
  readonly unreachable?: readonly number[];
  readonly introducedMax?: number;
}

function scene({ known, names: answers, unreachable = [], introducedMax = 3 }: World) {
  const connected = new Set(named(known));
  const asked: number[] = [];
  const met: number[] = [];
  const ask: Control['ask'] = async (member) => {
    asked.push(placeOf(member));
    return named(answers[placeOf(member)] ?? []).map((other) => ({ member: other, addresses: ADDRESSES }));
  };
  const approach = openApproach({
    self: 'self',
    routing: {
      nearest: (_, count) => [...connected, 'self'].sort(byPlace).slice(0, count),
      isNearer: (_, one, other) => placeOf(one) < placeOf(other),
    },
    acquaintances: {
      connected,
      introduce: (members) => members.map((member) => ({ member, addresses: ADDRESSES })),
      async meet({ member }: Introduced) {
        met.push(placeOf(member));
        if (unreachable.includes(placeOf(member))) return false;
        connected.add(member);
        return true;
      },
    },
    control: () => ({ ask }) as Control,
    reach: { introducedMax, nearest: 2, wanted: 6, most: 8 },
  });
  const find = async (needNotMeet?: (member: string) => boolean) =>
    (await approach.approach(digest, soon(), needNotMeet)).map(placeOf);
  return { approach, asked, met, find };
}

test('where everybody may be known nobody is asked', async () => {
  const it = scene({ known: [4, 5, 6], names: { 4: [0] }, introducedMax: 4 });
  expect(it.approach.isLarge()).toBe(false);
  expect(await it.find()).toEqual([4, 5, 6]);
  expect(it.asked).toEqual([]);
});

test('the nearest member known leads to nearer ones, until nobody knows any', async () => {
  const it = scene({ known: [9, 10, 11], names: { 9: [5, 6, 10], 5: [0, 1, 2], 0: [0, 1, 2] } });
  expect(await it.find()).toEqual([0, 1, 2]);
  expect(it.asked).toEqual([9, 5, 0]);
  expect(it.met).toEqual([5, 6, 0, 1, 2]);
});

test('who need not be met is not met, and is a home all the same', async () => {
  const it = scene({ known: [9, 10, 11], names: { 9: [0, 1, 2] } });
  expect(await it.find(() => true)).toEqual([0, 1, 2]);
  expect(it.met).toEqual([]);
});

test('who cannot be met is no home, and the next nearest is asked', async () => {
  const it = scene({ known: [9, 10, 11], names: { 9: [0], 10: [1, 2, 3] }, unreachable: [0] });
  expect(await it.find()).toEqual([1, 2, 3]);
  expect(it.asked.slice(0, 2)).toEqual([9, 10]);
});

test('members that always name nearer ones are not followed without end', async () => {
  const chain = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [at + 1, [at]]));
  const it = scene({ known: [9, 10, 11], names: chain });
  await it.find();
  expect(it.asked.length).toBeLessThanOrEqual(6);
});

test('a member names those it knows to be nearest, and wants a digest', () => {
  const { approach } = scene({ known: [3, 4, 5, 6], names: {} });
  expect(approach.answerers['homes']?.('asker', { digest })).toEqual(
    named([3, 4, 5]).map((member) => ({ member, addresses: ADDRESSES })),
  );
  for (const body of [null, {}, { digest: 7 }, { digest: 'sha256:no' }])
    expect(() => approach.answerers['homes']?.('asker', body)).toThrow('that is no digest');
});
