import type { Intake } from '@drayage/core';
import { expect, test } from 'vitest';
import { keepSessions } from './upload-sessions.ts';

const NEXT = new URL('http://origin.test/upload');

function scene() {
  const clock = { now: 0 };
  return { clock, sessions: keepSessions(() => clock.now) };
}

function intakeThat(ended: () => void): Intake {
  return {
    bytes: 0,
    append: async () => {},
    seal: async () => 'lost',
    [Symbol.asyncDispose]: async () => ended(),
  };
}

test('an upload that nobody goes on with is forgotten, with what was kept of it', async () => {
  const { clock, sessions } = scene();
  await using _sessions = sessions;
  let isEnded = false;
  const session = sessions.begin('a/b', NEXT);
  session.intake = intakeThat(() => {
    isEnded = true;
  });
  clock.now = 14 * 60_000;
  await sessions.use(session.id, 'a/b', async () => undefined);
  clock.now = 28 * 60_000;
  sessions.begin('a/b', NEXT);
  expect(isEnded).toBe(false);
  clock.now = 30 * 60_000;
  sessions.begin('a/b', NEXT);
  expect(isEnded).toBe(true);
  await expect(sessions.use(session.id, 'a/b', async () => undefined)).rejects.toMatchObject({
    code: 'upload_unknown',
  });
});

test('two requests do not work on one upload at a time', async () => {
  const { sessions } = scene();
  await using _sessions = sessions;
  const { id } = sessions.begin('a/b', NEXT);
  const gate = Promise.withResolvers<void>();
  const first = sessions.use(id, 'a/b', () => gate.promise);
  await expect(sessions.use(id, 'a/b', async () => undefined)).rejects.toThrow('another request');
  gate.resolve();
  await first;
  await sessions.use(id, 'a/b', async () => undefined);
});

test('there is a bound on uploads: the one left alone longest goes, and none that is worked on', async () => {
  const { sessions } = scene();
  await using _sessions = sessions;
  const all = Array.from({ length: 512 }, () => sessions.begin('a/b', NEXT));
  const [oldest, next] = all;
  const gate = Promise.withResolvers<void>();
  const working = sessions.use(oldest?.id ?? '', 'a/b', () => gate.promise);
  sessions.begin('a/b', NEXT);
  await expect(sessions.use(next?.id ?? '', 'a/b', async () => undefined)).rejects.toMatchObject({
    code: 'upload_unknown',
  });
  gate.resolve();
  await working;
  await sessions.use(oldest?.id ?? '', 'a/b', async () => undefined);
});

test('no two uploads have one name', async () => {
  const { sessions } = scene();
  await using _sessions = sessions;
  const names = new Set(Array.from({ length: 100 }, () => sessions.begin('a/b', NEXT).id));
  expect(names.size).toBe(100);
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]{22}$/);
});
