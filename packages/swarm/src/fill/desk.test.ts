import { Failure, type Happening, planPieces, sha256 } from '@drayage/core';
import { emptyBitmap, type MemberId, type MemberReport } from '@drayage/exchange';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Contact } from '../contact.ts';
import { type Desk, type DeskParts, type HomeWord, openDesk } from './desk.ts';
import { newIdentity } from './fake-hosts.ts';
import { openRoll, type Roll } from './roll.ts';

const SIZE = 4 * 262_144;
const DIGEST = sha256(Buffer.from('a blob'));
const ABOUT = { digest: DIGEST, size: SIZE };
const NAMES = (await Promise.all([newIdentity(), newIdentity()])).map((identity) =>
  peerIdFromPrivateKey(identity).toString(),
);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Scene {
  readonly desk: Desk;
  readonly roll: Roll;
  readonly told: { readonly member: MemberId; readonly word: HomeWord }[];
  readonly happenings: Happening[];
  report(member: MemberId, changes?: Partial<MemberReport>, about?: typeof ABOUT): ReturnType<Desk['report']>;
}

function setScene(changes: Partial<DeskParts> = {}): Scene {
  const roll = openRoll({ member: 'self', links: [], zone: undefined });
  const told: Scene['told'] = [];
  const happenings: Happening[] = [];
  const desk = openDesk({
    ...{ roll, random: () => 0.5, now: () => performance.now() },
    holdersOf: async () => [],
    nearerTo: () => [],
    async tell(member, _about, word) {
      told.push({ member, word });
      return true;
    },
    report: (happening) => void happenings.push(happening),
    ...changes,
  });
  return {
    ...{ desk, roll, told, happenings },
    report: (member, said = {}, about = ABOUT) =>
      desk.report(member, about, {
        ...{
          held: emptyBitmap(planPieces(about.size).count),
          lacking: undefined,
          leased: undefined,
          wantsMembers: true,
        },
        ...{ caught: [], isFollowing: false, isComplete: false, zone: undefined, uplinkBytesPerSecond: 0 },
        ...said,
      }),
  };
}

const leases = ({ told }: Scene) => told.filter(({ word }) => word.kind === 'lease').map(({ member }) => member);

test('who joins may fetch from the origin, and is told who else is there', async () => {
  const scene = setScene();
  await scene.report(1);
  expect((await scene.report(2)).members).toEqual([1]);
  expect(leases(scene)).toEqual([1, 2]);
});

test('nobody is sent to the origin for what a member on record holds', async () => {
  const holder: Contact = { member: NAMES[0] ?? '', links: [{ host: 'h', port: 1 }], zone: undefined };
  const scene = setScene({ holdersOf: async () => [holder] });
  const answer = await scene.report(99);
  expect(answer.members).toEqual([scene.roll.idOf(holder.member)]);
  expect(leases(scene)).toEqual([]);
});

test('all who ask for a new home at once get the same', async () => {
  const { promise, resolve } = Promise.withResolvers<readonly Contact[]>();
  let lookups = 0;
  const scene = setScene({
    holdersOf: () => {
      lookups++;
      return promise;
    },
  });
  const answers = [1, 2, 3].map((member) => scene.report(member));
  resolve([]);
  expect((await Promise.all(answers)).map(({ members }) => members.length).toSorted()).toEqual([0, 1, 2]);
  expect(lookups).toBe(1);
});

test.each([
  ['cannot be told', new Failure('member_unreachable', 'gone'), 0],
  ['brings about a fault', new TypeError('a fault'), 1],
])('what one was to fetch that %s, another fetches', async (_what, error, lines) => {
  const told: MemberId[] = [];
  const scene = setScene({
    async tell(member) {
      told.push(member);
      if (member === 1) throw error;
      return true;
    },
  });
  await scene.report(1);
  await scene.report(2);
  await vi.advanceTimersByTimeAsync(3000);
  expect(told.filter((member) => member === 2).length).toBeGreaterThan(0);
  expect((await scene.report(3)).members).toEqual([2]);
  expect(scene.happenings.filter(({ kind }) => kind === 'error')).toHaveLength(lines);
});

test('who holds a lease and is quiet is asked after', async () => {
  const scene = setScene();
  await scene.report(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(scene.told.map(({ word }) => word.kind)).toContain('question');
});

test('one member cannot take all the room of a home', async () => {
  const scene = setScene();
  const huge = (at: number) => ({ digest: sha256(Buffer.of(at)), size: 1024 ** 4 });
  await scene.report(1, {}, huge(0));
  await expect(scene.report(1, {}, huge(1))).rejects.toMatchObject({ code: 'unsupported' });
  await scene.report(2, {}, huge(1));
  for (let at = 0; at < 1023; at++) await scene.report(1, {}, { digest: sha256(Buffer.from(`${at}`)), size: 1 });
  await expect(scene.report(1, {}, { digest: DIGEST, size: 1 })).rejects.toMatchObject({ code: 'unsupported' });
  // What others began, it may take part in.
  await scene.report(3);
  await scene.report(1);
  scene.desk[Symbol.dispose]();
});

test('a home that nobody turns to is given up, and one that is closed keeps no time', async () => {
  const scene = setScene();
  await scene.report(1);
  await vi.advanceTimersByTimeAsync(400_000);
  expect(vi.getTimerCount()).toBe(0);
  await scene.report(1);
  expect(vi.getTimerCount()).toBe(1);
  scene.desk[Symbol.dispose]();
  scene.desk.returned(1, ABOUT, false);
  await scene.report(2);
  expect(vi.getTimerCount()).toBe(0);
});

test('what makes no sense is refused with a failure, and changes nothing', async () => {
  const scene = setScene();
  const { answerers } = scene.desk;
  for (const kind of ['report', 'landed', 'returned'])
    for (const body of [
      null,
      undefined,
      7,
      'text',
      [],
      {},
      { digest: DIGEST },
      { ...ABOUT, size: -1 },
      { ...ABOUT, size: 1e300 },
    ])
      await expect(async () => await answerers[kind]?.('m', body)).rejects.toBeInstanceOf(Failure);
  await expect(
    async () => await answerers['landed']?.('m', { ...ABOUT, pieces: new Array(9).fill(0) }),
  ).rejects.toBeInstanceOf(Failure);
  await answerers['landed']?.('m', { ...ABOUT, pieces: [-1, 1e9, 'x', null] });
  await answerers['returned']?.('m', { ...ABOUT, isRefused: 'yes' });
  expect(scene.told).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a member that reports for another is refused', async () => {
  const { answerers } = setScene().desk;
  const [self, other] = NAMES;
  const body = { ...ABOUT, contact: { member: other, links: [] }, held: 'AAAAAA==' };
  await expect(async () => await answerers['report']?.(self ?? '', body)).rejects.toMatchObject({ code: 'denied' });
});
