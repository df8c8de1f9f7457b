import { expect, test } from 'vitest';
import { REACH } from './acquaintances.ts';
import type { Control } from './control.ts';
import { testMemberNames } from './fake-swarm.ts';
import type { SwarmNode } from './node.ts';
import { openParting } from './parting.ts';

const soon = () => AbortSignal.timeout(10_000);
const names = await testMemberNames(8);

/** A member with eight connections, of which it keeps six at most and two because they are near. */
function scene(agrees: (member: string) => boolean = () => true) {
  const connected = new Set(names);
  const world = { now: 0 };
  const asked: string[] = [];
  const parted: string[] = [];
  const hangUp = async (member: unknown) => void connected.delete(String(member));
  const ask: Control['ask'] = async (member, kind) => {
    asked.push(kind);
    return agrees(member);
  };
  const parting = openParting({
    node: { hangUp } as unknown as SwarmNode, // no more is asked of it here
    routing: { nearestToUs: () => new Set(names.slice(0, 2)) },
    acquaintances: { connected, introduce: () => [], meet: async () => false },
    presence: { part: (member) => void parted.push(member) },
    control: () => ({ ask }) as Control,
    reach: { ...REACH, nearest: 2, most: 6 },
    now: () => world.now,
    random: () => 0.5,
  });
  return { parting, connected, parted, asked, world };
}

test('where there are too many connections, those that neither side needs are ended', async () => {
  const it = scene();
  for (const member of names.slice(2, 6)) it.parting.asked(member);
  await it.parting.thin(soon());
  expect([...it.connected]).toEqual(names.slice(0, 6));
  expect(it.parted).toEqual(names.slice(6));
  expect(it.asked).toEqual(['part', 'part']);
  await it.parting.thin(soon());
  expect(it.asked).toHaveLength(2);
});

test('who still needs us is kept', async () => {
  const it = scene((member) => member !== names[7]);
  for (const member of names.slice(2, 6)) it.parting.asked(member);
  await it.parting.thin(soon());
  expect([...it.connected]).toEqual([...names.slice(0, 6), names[7]]);
});

test('a member parts with whoever asks, but for those near it and those it asked lately', () => {
  const it = scene();
  const answer = (at: number) => it.parting.answerers['part']?.(names[at] as string, {});
  it.parting.asked(names[3] as string);
  expect([answer(0), answer(3), answer(4)]).toEqual([false, false, true]);
  it.world.now = 5000;
  expect(answer(3)).toBe(true);
  expect(it.parted).toEqual([names[4], names[3]]);
});
