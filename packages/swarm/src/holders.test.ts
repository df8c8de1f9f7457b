import { type Digest, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { keepHolders } from './holders.ts';

const digest = (name: string | number): Digest => sha256(Buffer.from(String(name)));
const layer = digest('layer');
const asker = { member: 'asker', zone: undefined };

function scene(zones: Readonly<Record<string, string>> = {}) {
  let time = 0;
  let seed = 1;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const away = new Set<string>();
  const isAway = (member: string) => away.has(member);
  const holders = keepHolders({ now: () => time, random, zoneOf: (member) => zones[member], isAway });
  return { holders, away, pass: (ms: number) => (time += ms) };
}

test('who announced a blob is found until it withdraws it or goes', () => {
  const { holders } = scene();
  holders.announce('one', [layer]);
  holders.announce('two', [layer]);
  expect([...holders.find(layer, asker)].sort()).toEqual(['one', 'two']);
  holders.withdraw('one', [layer]);
  expect(holders.find(layer, asker)).toEqual(['two']);
  holders.forget('two');
  expect(holders.find(layer, asker)).toEqual([]);
  expect(holders.size()).toBe(0);
});

test('a member is never sent to itself', () => {
  const { holders } = scene();
  holders.announce('asker', [layer]);
  expect(holders.find(layer, asker)).toEqual([]);
});

test('a member that is away is not named until it returns', () => {
  const { holders, away } = scene();
  holders.announce('one', [layer]);
  away.add('one');
  expect(holders.find(layer, asker)).toEqual([]);
  away.delete('one');
  expect(holders.find(layer, asker)).toEqual(['one']);
});

test('members of the same zone are named first', () => {
  const { holders } = scene({ a: 'east', b: 'west', c: 'east' });
  for (const member of ['a', 'b', 'c']) holders.announce(member, [layer]);
  const found = holders.find(layer, { member: 'asker', zone: 'east' });
  expect([...found.slice(0, 2)].sort()).toEqual(['a', 'c']);
  expect(found[2]).toBe('b');
});

test('a blob that everybody has costs a bounded record and a bounded answer', () => {
  const { holders } = scene();
  for (let member = 0; member < 1000; member++) holders.announce(`member ${member}`, [layer]);
  const found = holders.find(layer, asker);
  expect(found).toHaveLength(32);
  // The youngest claims are the ones that are kept.
  expect(found.every((member) => Number(member.slice(7)) >= 744)).toBe(true);
});

test('one member that pours records in pushes out its own, and nobody else loses any', () => {
  const { holders } = scene();
  holders.announce('honest', [layer]);
  const flood = Array.from({ length: 50_000 }, (_, at) => digest(at));
  holders.announce('flood', flood);
  expect(holders.size()).toBeLessThanOrEqual(20_001);
  expect(holders.size()).toBeGreaterThan(18_000);
  expect(holders.find(layer, asker)).toEqual(['honest']);
  expect(holders.find(digest(49_999), asker)).toEqual(['flood']);
  expect(holders.find(digest(0), asker)).toEqual([]);
});

test('a claim that is not renewed expires', () => {
  const { holders, pass } = scene();
  holders.announce('one', [layer]);
  pass(23 * 3_600_000);
  holders.announce('two', [layer]);
  pass(2 * 3_600_000);
  expect(holders.find(layer, asker)).toEqual(['two']);
});
