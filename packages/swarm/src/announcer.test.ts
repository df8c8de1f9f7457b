import { type Digest, type Happening, sha256 } from '@drayage/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startAnnouncer } from './announcer.ts';
import type { News, Notice } from './directory.ts';

const digest = (name: string): Digest => sha256(Buffer.from(name));
const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A directory whose homes and reachability the test decides, the same for every digest. */
function scene(held: Digest[]) {
  const heard: { kind: News; home: string; digests: readonly Digest[] }[] = [];
  const happenings: Happening[] = [];
  const world = { homes: ['a', 'b', 'c'], dead: new Set<string>(), hangs: false, isLarge: false };
  let changed: (member: string) => void = () => {};
  const announcer = startAnnouncer({
    directory: {
      async tell(kind: News, notices: readonly Notice[], signal: AbortSignal) {
        if (world.hangs)
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        const told = notices.filter(({ home }) => !world.dead.has(home));
        for (const notice of told) heard.push({ kind, ...notice });
        return told;
      },
    },
    approach: { isLarge: () => world.isLarge, approach: async () => world.homes },
    parting: { thin: async () => {} },
    held: () => held,
    watch(callback) {
      changed = callback;
      return { [Symbol.dispose]() {} };
    },
    report: (one) => void happenings.push(one),
    now: Date.now,
  });
  return {
    announcer,
    world,
    happenings,
    change: (member: string) => changed(member),
    /** What was told since the last look: `kind home: how many`. */
    heard: () => heard.splice(0).map(({ kind, home, digests }) => `${kind} ${home}: ${digests.length}`),
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
  };
}

test('all that is held is announced at the start, each home in one message', async () => {
  const it = scene([digest('one'), digest('two')]);
  await it.pass(10);
  expect(it.heard()).toEqual(['announce a: 2', 'announce b: 2', 'announce c: 2']);
  expect(it.happenings).toEqual([{ kind: 'announced', blobs: 2 }]);
});

test('what is sealed within a moment goes out together, and is withdrawn together', async () => {
  const it = scene([]);
  await it.pass(10);
  for (const name of ['one', 'two', 'three']) it.announcer.announce(digest(name));
  await it.pass(60);
  expect(it.heard()).toEqual(['announce a: 3', 'announce b: 3', 'announce c: 3']);
  it.announcer.withdraw(digest('one'));
  it.announcer.withdraw(digest('two'));
  it.announcer.withdraw(digest('never announced'));
  await it.pass(60);
  expect(it.heard()).toEqual(['withdraw a: 2', 'withdraw b: 2', 'withdraw c: 2']);
});

test('new homes are told when the members have settled, and old ones are left alone', async () => {
  const it = scene([digest('one')]);
  await it.pass(10);
  it.heard();
  it.world.homes = ['a', 'b', 'd'];
  for (let at = 0; at < 4; at++) {
    it.change('d');
    await it.pass(1000);
  }
  expect(it.heard()).toEqual([]);
  await it.pass(1100);
  expect(it.heard()).toEqual(['announce d: 1']);
  await it.pass(HOUR_MS);
  expect(it.heard()).toEqual([]);
});

test('members that never settle are not waited for', async () => {
  const it = scene([digest('one')]);
  await it.pass(10);
  it.heard();
  it.world.homes = ['d'];
  for (let at = 0; at < 10; at++) {
    it.change('somebody');
    await it.pass(600);
  }
  expect(it.heard()).toEqual(['announce d: 1']);
});

test('a home that went and came back is told again, though the homes are the same', async () => {
  const it = scene([digest('one')]);
  await it.pass(10);
  it.heard();
  it.change('b');
  await it.pass(2100);
  expect(it.heard()).toEqual(['announce b: 1']);
});

test('a home that cannot be told is told later, ever more slowly and with few words in the log', async () => {
  const it = scene([digest('one')]);
  it.world.dead.add('b');
  await it.pass(10);
  expect(it.heard()).toEqual(['announce a: 1', 'announce c: 1']);
  await it.pass(10 * 60_000);
  expect(it.heard()).toEqual([]);
  const errors = it.happenings.filter(({ kind }) => kind === 'error');
  expect(errors.length).toBeLessThanOrEqual(11);
  it.world.dead.clear();
  await it.pass(61_000);
  expect(it.heard()).toEqual(['announce b: 1']);
});

test('everything is told again before the records grow old', async () => {
  const it = scene([digest('one')]);
  await it.pass(10);
  it.heard();
  await it.pass(12 * HOUR_MS + 60_000);
  expect(it.heard()).toEqual(['announce a: 1', 'announce b: 1', 'announce c: 1']);
});

test('who leaves says goodbye, and does not wait long for an answer', async () => {
  const it = scene([digest('one')]);
  await it.pass(10);
  it.heard();
  await it.announcer[Symbol.asyncDispose]();
  expect(it.heard()).toEqual(['withdraw a: 1', 'withdraw b: 1', 'withdraw c: 1']);
  const other = scene([digest('one')]);
  await other.pass(10);
  other.world.hangs = true;
  vi.useRealTimers();
  const from = performance.now();
  await other.announcer[Symbol.asyncDispose]();
  expect(performance.now() - from).toBeLessThan(3000);
});

test('in a large swarm homes are looked for again, ever more rarely', async () => {
  const it = scene([digest('one')]);
  it.world.isLarge = true;
  await it.pass(10);
  it.heard();
  it.world.homes = ['d', 'b', 'c'];
  await it.pass(61_000);
  expect(it.heard()).toEqual(['announce d: 1']);
  it.world.homes = ['e', 'b', 'c'];
  await it.pass(110_000);
  expect(it.heard()).toEqual([]);
  await it.pass(10_000);
  expect(it.heard()).toEqual(['announce e: 1']);
});

test('in a large swarm a home that is lost is of no matter while two others know, nor is one that knows nothing', async () => {
  const it = scene([digest('one')]);
  it.world.isLarge = true;
  await it.pass(10);
  it.heard();
  it.world.homes = ['a', 'd', 'e'];
  for (const member of ['b', 'somebody']) it.change(member);
  await it.pass(6000);
  expect(it.heard()).toEqual([]);
  it.change('c');
  await it.pass(6000);
  expect(it.heard()).toEqual(['announce d: 1', 'announce e: 1']);
});
