import { Failure, sha256 } from '@drayage/core';
import { emptyBitmap, type MemberReport, type Run } from '@drayage/exchange';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type { Control } from '../control.ts';
import type { Desk } from './desk.ts';
import { type HomeLine, openHomeLine } from './home-line.ts';
import type { Part } from './part-types.ts';
import { openRoll, type Roll } from './roll.ts';

const ABOUT = { digest: sha256(Buffer.from('a blob')), size: 1000 * 262_144 };
const HOME = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
const OTHER = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
const REPORT: MemberReport = {
  ...{
    held: emptyBitmap(1000),
    lacking: undefined,
    caught: [],
    leased: undefined,
    wantsMembers: true,
    isFollowing: false,
  },
  ...{ isComplete: false, zone: undefined, uplinkBytesPerSecond: 0 },
};

interface Scene {
  readonly line: HomeLine;
  readonly roll: Roll;
  readonly home: number;
  readonly asked: { readonly kind: string; readonly body: unknown }[];
  readonly leased: Run[];
}

function setScene(answer: (kind: string) => unknown = () => ({})): Scene {
  const roll = openRoll({ member: 'self', links: [], zone: undefined });
  const home = roll.idOf(HOME);
  const asked: Scene['asked'] = [];
  const leased: Run[] = [];
  const control: Control = {
    async ask(_member, kind, body) {
      asked.push({ kind, body });
      return await answer(kind);
    },
    async [Symbol.asyncDispose]() {},
  };
  const part = {
    isHome: (id) => id === home,
    leased: (_home, run) => void leased.push(run),
    questioned: () => true,
    withdrawn: () => {},
  } as Pick<Part, 'isHome' | 'leased' | 'questioned' | 'withdrawn'> as Part;
  const line = openHomeLine({
    ...{ roll, control: () => control, signal: new AbortController().signal },
    self: () => ({ member: 'self', links: [], zone: undefined }),
    desk: () =>
      ({
        landed: () => {},
        returned: () => {},
        report: async () => ({ members: [], reportEveryMs: 1, usualUplink: 5 }),
      }) as unknown as Desk, // the rest of a desk is not asked here
    partOf: ({ size }) => (size === ABOUT.size ? part : undefined),
  });
  return { line, roll, home, asked, leased };
}

test('a report to ourselves goes nowhere', async () => {
  const { line, roll, asked } = setScene();
  expect(await line.report(roll.self, { ...ABOUT, report: REPORT })).toEqual({
    members: [],
    reportEveryMs: 1,
    usualUplink: 5,
    nearer: [],
  });
  expect(asked).toEqual([]);
});

test('a home that cannot be asked is a failure, however it comes about', async () => {
  for (const error of [new Failure('origin_unavailable', 'gone'), new Error('late'), 'text'])
    await expect(
      setScene(() => Promise.reject(error)).line.report(1, { ...ABOUT, report: REPORT }),
    ).rejects.toBeInstanceOf(Failure);
  await expect(setScene().line.report(99, { ...ABOUT, report: REPORT })).rejects.toBeInstanceOf(Failure);
});

test('whatever a home answers is understood in some way, and bounded', async () => {
  const contact = { member: OTHER, links: [{ host: '10.0.0.1', port: 1 }] };
  const answers = fc.oneof(
    fc.jsonValue(),
    fc.record({
      members: fc.oneof(fc.array(fc.oneof(fc.constant(contact), fc.jsonValue()), { maxLength: 100 }), fc.jsonValue()),
      reportEveryMs: fc.oneof(fc.double(), fc.jsonValue()),
      usualUplink: fc.oneof(fc.double(), fc.jsonValue()),
    }),
  );
  await fc.assert(
    fc.asyncProperty(answers, async (answer) => {
      const { line, home } = setScene(() => answer);
      const { members, reportEveryMs, usualUplink } = await line.report(home, { ...ABOUT, report: REPORT });
      expect(members.length).toBeLessThanOrEqual(32);
      expect(reportEveryMs >= 0 && reportEveryMs <= 60_000).toBe(true);
      expect(usualUplink >= 0 && usualUplink <= 1e12).toBe(true);
    }),
  );
});

test('news of landed pieces goes out together', async () => {
  const { line, home, asked } = setScene();
  for (const piece of [3, 4, 5]) line.landed(home, ABOUT, piece);
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  expect(asked[0]).toEqual({ kind: 'landed', body: { ...ABOUT, pieces: [3, 4, 5] } });
});

test('only the home of the blob may say who fetches', async () => {
  const { line, leased } = setScene();
  for (const kind of ['lease', 'question', 'withdraw'])
    expect(() => line.answerers[kind]?.(OTHER, { ...ABOUT, start: 0, end: 1 })).toThrow('another member is home');
  expect(leased).toEqual([]);
  await line.answerers['lease']?.(HOME, { ...ABOUT, start: 0, end: 4 });
  expect(leased).toEqual([{ start: 0, end: 4 }]);
});

test('a lease of everything is a lease of some', async () => {
  const { line, leased } = setScene();
  await line.answerers['lease']?.(HOME, { ...ABOUT, start: 10, end: 500 });
  expect(leased).toEqual([{ start: 10, end: 74 }]);
});

test('a lease out of bounds, or of a blob of another size, is refused', () => {
  const { line, leased } = setScene();
  for (const run of [{ start: -1, end: 2 }, { start: 2, end: 2 }, { start: 0, end: 501 }, { start: 0.5, end: 2 }, {}])
    expect(() => line.answerers['lease']?.(HOME, { ...ABOUT, ...run })).toThrow(Failure);
  expect(() => line.answerers['lease']?.(HOME, { ...ABOUT, size: 5, start: 0, end: 1 })).toThrow('no part');
  expect(leased).toEqual([]);
});
