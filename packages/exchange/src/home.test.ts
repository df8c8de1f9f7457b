import { expect, test } from 'vitest';
import { bitmapOf, evenChance, planOf, reportWith } from './fake-member.ts';
import { type Home, newHome, stepHome } from './home.ts';
import {
  ACCUSED_MAX,
  ACCUSERS_SHARE,
  DOUBT_MS,
  LEASE_QUIET_MS,
  LEASES_MAX,
  PRESENT_FACTOR,
  REPORT_MS_MIN,
  SUCCESSION_MS,
} from './limits.ts';
import type { HomeDecision, MemberReport, Run } from './words.ts';

const COUNT = 128;

function start(count = COUNT): Home {
  return newHome({ plan: planOf(count), random: evenChance }, 0);
}

function report(home: Home, now: number, member: number, changes: Partial<MemberReport> = {}): readonly HomeDecision[] {
  return stepHome(home, now, { kind: 'reported', member, report: reportWith(changes) });
}

function leases(decisions: readonly HomeDecision[]): Extract<HomeDecision, { kind: 'lease' }>[] {
  return decisions.filter((one): one is Extract<HomeDecision, { kind: 'lease' }> => one.kind === 'lease');
}

/** The holder says that these pieces have landed. */
function land(home: Home, now: number, member: number, { start, end }: Run): HomeDecision[] {
  const decisions: HomeDecision[] = [];
  for (let piece = start; piece < end; piece++)
    decisions.push(...stepHome(home, now, { kind: 'landed', member, piece }));
  return decisions;
}

test('whoever joins is named others, and those who come first may fetch', () => {
  const home = start();
  const first = report(home, 0, 1);
  expect(first[0]).toMatchObject({ kind: 'answer', to: 1, answer: { members: [] } });
  expect(leases(first)).toEqual([{ kind: 'lease', to: 1, run: { start: 0, end: 1 } }]);
  expect(report(home, 0, 2)[0]).toMatchObject({ answer: { members: [1] } });
});

test('no more than so many fetch at a time', () => {
  const home = start();
  const given = Array.from({ length: 12 }, (_, member) => leases(report(home, 0, member)).length);
  expect(given.reduce((sum, count) => sum + count, 0)).toBe(LEASES_MAX);
});

test('a lease is extended before it ends', () => {
  const home = start();
  report(home, 0, 1);
  expect(leases(land(home, 10, 1, { start: 0, end: 1 }))).toHaveLength(1);
});

test('a member that is alone fetches longer runs, once it has shown that it fetches', () => {
  const home = start(40);
  expect(leases(report(home, 0, 1))).toMatchObject([{ run: { start: 0, end: 1 } }]);
  expect(leases(land(home, 10, 1, { start: 0, end: 1 }))).toMatchObject([{ run: { start: 1, end: 9 } }]);
});

test('no piece is leased twice while nothing goes wrong', () => {
  const home = start(16);
  const runs = leases(report(home, 0, 1));
  for (let at = 0; at < runs.length; at++) {
    runs.push(...leases(land(home, 10 + at, 1, runs[at]?.run ?? { start: 0, end: 0 })));
  }
  const pieces = runs.flatMap(({ run }) =>
    Array.from({ length: run.end - run.start }, (_, index) => run.start + index),
  );
  expect(pieces.sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, piece) => piece));
});

test('a quiet holder is asked, and one that does not answer loses the lease to another', () => {
  const home = start();
  for (let member = 1; member <= LEASES_MAX + 1; member++) report(home, 0, member);
  const asked = stepHome(home, LEASE_QUIET_MS, { kind: 'tick' });
  expect(asked).toContainEqual({ kind: 'question', to: 1 });
  for (let member = 2; member <= LEASES_MAX; member++) {
    stepHome(home, LEASE_QUIET_MS + 1, { kind: 'progress', member, hasProgress: true });
  }
  const ended = stepHome(home, 2 * LEASE_QUIET_MS, { kind: 'tick' });
  expect(ended).toContainEqual({ kind: 'withdraw', from: 1 });
  expect(leases(ended)).toMatchObject([{ to: LEASES_MAX + 1, run: { start: 0, end: 1 } }]);
});

test('where every member takes long to answer, a quiet one is waited for as well', () => {
  const home = start();
  for (let member = 1; member <= LEASES_MAX; member++) report(home, 0, member);
  for (let member = 2; member <= LEASES_MAX; member++) stepHome(home, 800, { kind: 'told', member });
  expect(stepHome(home, 1000, { kind: 'tick' })).toContainEqual({ kind: 'question', to: 1 });
  expect(stepHome(home, 1000 + 4 * 800 - 1, { kind: 'tick' })).toEqual([]);
  expect(stepHome(home, 1000 + 4 * 800, { kind: 'tick' })).toContainEqual({ kind: 'withdraw', from: 1 });
});

test('who answers late alone does not make others be waited for', () => {
  const home = start();
  for (let member = 1; member <= LEASES_MAX; member++) report(home, 0, member);
  for (let member = 2; member < LEASES_MAX; member++) stepHome(home, 10, { kind: 'told', member });
  stepHome(home, 1000, { kind: 'told', member: LEASES_MAX });
  expect(stepHome(home, 1000, { kind: 'tick' })).toContainEqual({ kind: 'question', to: 1 });
  expect(stepHome(home, 2000, { kind: 'tick' })).toContainEqual({ kind: 'withdraw', from: 1 });
});

test('a home that is late itself waits for others as well', () => {
  const home = start();
  report(home, 0, 1);
  expect(stepHome(home, 1000, { kind: 'tick' })).toContainEqual({ kind: 'question', to: 1 });
  for (let now = 1250; now < 2000; now += 250) stepHome(home, now, { kind: 'tick', lateMs: 1000 });
  expect(stepHome(home, 2250, { kind: 'tick' })).toEqual([]);
  expect(stepHome(home, 1000 + 4 * 1000, { kind: 'tick' })).toContainEqual({ kind: 'withdraw', from: 1 });
});

test('however late answers are, none is waited for without end', () => {
  const home = start();
  for (let member = 1; member <= LEASES_MAX; member++) report(home, 0, member);
  stepHome(home, 1000, { kind: 'tick' });
  for (let member = 2; member <= LEASES_MAX; member++) {
    stepHome(home, 6900, { kind: 'progress', member, hasProgress: true });
  }
  expect(stepHome(home, 7000, { kind: 'tick' })).toContainEqual({ kind: 'withdraw', from: 1 });
});

test('a slow holder keeps its lease as long as bytes come', () => {
  const home = start();
  report(home, 0, 1);
  for (let now = LEASE_QUIET_MS; now < 60_000; now += LEASE_QUIET_MS) {
    const decisions = stepHome(home, now, { kind: 'tick' });
    expect(decisions.filter(({ kind }) => kind === 'withdraw')).toEqual([]);
    stepHome(home, now, { kind: 'progress', member: 1, hasProgress: true });
  }
});

test('when the origin serves nobody, nobody loses a lease for it', () => {
  const home = start();
  report(home, 0, 1);
  stepHome(home, 5000, { kind: 'tick' });
  expect(stepHome(home, 5001, { kind: 'progress', member: 1, hasProgress: false })).toEqual([]);
});

test('a member that the origin refuses is not given another lease', () => {
  const home = start();
  report(home, 0, 1);
  stepHome(home, 1, { kind: 'returned', member: 1, isRefused: true });
  expect(leases(stepHome(home, 1000, { kind: 'tick' }))).toEqual([]);
  expect(leases(report(home, 1001, 2))).toMatchObject([{ run: { start: 0, end: 1 } }]);
});

test('the lease of a holder that leaves goes to another', () => {
  const home = start(1);
  report(home, 0, 1);
  report(home, 0, 2);
  expect(leases(stepHome(home, 10, { kind: 'left', member: 1 }))).toEqual([
    { kind: 'lease', to: 2, run: { start: 0, end: 1 } },
  ]);
});

test('who is known to be much slower than usual does not fetch, however much one holder seems to have', () => {
  const home = start();
  report(home, 0, 1, { uplinkBytesPerSecond: 1000 });
  for (const member of [2, 3]) report(home, 0, member, { uplinkBytesPerSecond: 100 });
  stepHome(home, 250, { kind: 'tick' });
  expect(leases(report(home, 300, 4, { uplinkBytesPerSecond: 10 }))).toEqual([]);
  expect(leases(report(home, 300, 5, { uplinkBytesPerSecond: 90 }))).toHaveLength(1);
});

test('a home that takes over waits for those who hold leases, and gives none of theirs away', () => {
  const home = start(4);
  expect(leases(report(home, 0, 1, { isFollowing: true, held: bitmapOf(4, [0]) }))).toEqual([]);
  report(home, 100, 2, { isFollowing: true, leased: bitmapOf(4, [1, 2]) });
  expect(leases(stepHome(home, SUCCESSION_MS - 1, { kind: 'tick' }))).toEqual([]);
  expect(leases(stepHome(home, SUCCESSION_MS + 250, { kind: 'tick' }))).toEqual([
    { kind: 'lease', to: 1, run: { start: 3, end: 4 } },
  ]);
});

test('one that lacks a piece is named the member that has it, and may fetch it when that does not help', () => {
  const home = start(1);
  report(home, 0, 1);
  land(home, 10, 1, { start: 0, end: 1 });
  const lacking = bitmapOf(1, [0]);
  const silentAt = 2 * REPORT_MS_MIN;
  const [answer] = report(home, silentAt, 2, { lacking });
  expect(answer).toMatchObject({ kind: 'answer', answer: { members: [1] } });
  expect(leases(report(home, silentAt + DOUBT_MS, 2, { lacking }))).toHaveLength(1);
});

test('a piece is believed for longer where the member that has it goes on saying so', () => {
  const freedAfter = (isPresent: boolean) => {
    const home = start(1);
    report(home, 0, 1);
    land(home, 0, 1, { start: 0, end: 1 });
    const lacking = bitmapOf(1, [0]);
    for (let now = 10_000; now < 30_000; now += 100) {
      if (isPresent) report(home, now, 1, { held: lacking });
      if (leases(report(home, now, 2, { lacking })).length > 0) return now - 10_000;
    }
    return undefined;
  };
  expect(freedAfter(false)).toBe(DOUBT_MS);
  expect(freedAfter(true)).toBe(PRESENT_FACTOR * DOUBT_MS);
});

test('what a member with everything reports is not fetched from the origin', () => {
  const home = start();
  const all = Array.from({ length: COUNT }, (_, piece) => piece);
  report(home, 0, 1, { held: bitmapOf(COUNT, all), isComplete: true, wantsMembers: false });
  expect(leases(report(home, 1, 2))).toEqual([]);
});

test('what a member fetched is fetched again, by others, when a third of all have caught it in a lie', () => {
  const home = start(6);
  for (const member of [1, 2, 3, 4, 5, 6]) report(home, 0, member);
  for (const member of [1, 2, 3, 4, 5, 6]) land(home, 10, member, { start: member - 1, end: member });
  expect(leases(report(home, 20, 2, { caught: [1], held: bitmapOf(6, [0]) }))).toEqual([]);
  expect(leases(report(home, 30, 3, { caught: [1] }))).toMatchObject([{ run: { start: 0, end: 1 } }]);
  expect(leases(report(home, 30, 3, { caught: [1] }))[0]?.to).not.toBe(1);
  expect(home.guests.byId.get(1)?.isRefused).toBe(true);
});

test('a liar that was to fetch a piece is not believed when it says that it has', () => {
  const home = start(7);
  for (const member of [1, 2, 3, 4, 5, 6]) report(home, 0, member);
  for (const member of [2, 3]) report(home, 10, member, { caught: [1] });
  const before = home.ledger.free;
  expect(leases(land(home, 20, 1, { start: 0, end: 1 }))).toEqual([]);
  report(home, 30, 1, { held: bitmapOf(7, [0]) });
  expect(home.ledger.free).toBe(before);
});

test('what a member had on the word of a liar, and dropped, is fetched for the first that looks for it in vain', () => {
  const home = start(1);
  report(home, 0, 1);
  land(home, 10, 1, { start: 0, end: 1 });
  const held = bitmapOf(1, [0]);
  for (const member of [1, 2]) report(home, 20, member, { held });
  expect(leases(report(home, 1000, 3, { lacking: held }))).toEqual([]);
  report(home, 1010, 1);
  expect(leases(report(home, 1020, 3, { lacking: held }))).toMatchObject([{ run: { start: 0, end: 1 } }]);
});

test('one member that calls others liars, however often, changes nothing', () => {
  const home = start(6);
  for (const member of [1, 2, 3, 4, 5, 6]) report(home, 0, member);
  for (const member of [1, 2, 3, 4, 5, 6]) land(home, 10, member, { start: member - 1, end: member });
  for (const now of [20, 1020, 2020]) expect(leases(report(home, now, 2, { caught: [1, 2, 3] }))).toEqual([]);
  expect([...home.guests.byId.values()].some(({ isRefused }) => isRefused)).toBe(false);
});

test('however many are in league, each can only accuse so many', () => {
  const home = start(6);
  const others = Array.from({ length: 2 * ACCUSED_MAX }, (_, at) => at + 10);
  for (const member of others) report(home, 0, member);
  const accusers = others.slice(0, Math.ceil(others.length * ACCUSERS_SHARE));
  for (const [at, member] of accusers.entries())
    for (const accused of others) report(home, 10 + at, member, { caught: [accused] });
  const refused = [...home.guests.byId.values()].filter(({ isRefused }) => isRefused);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThanOrEqual(ACCUSED_MAX);
});
