import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { QUESTION_BYTES_MAX } from './link/frame.ts';
import type { Link } from './link/types.ts';
import { type LinkLines, openLinkLines } from './link-lines.ts';

const never = new AbortController().signal;

/** Two members and the link between them; what they say is held back until it is let through. */
function scene() {
  const ends: string[] = [];
  const held: (() => void)[] = [];
  let isOpen = true;
  const linkOf = (member: string, far: () => LinkLines, back: () => Link): Link => {
    const link: Partial<Link> = {
      member,
      isOpen: () => isOpen,
      question: (message) => void held.push(() => far().questioned(back(), message)),
      answer: (message) => void held.push(() => far().answered(back(), message)),
      end: (reason) => void ends.push(reason),
    };
    return link as Link; // no more is asked of it here
  };
  const toFar: Link = linkOf(
    'far',
    () => far,
    () => toNear,
  );
  const toNear: Link = linkOf(
    'near',
    () => near,
    () => toFar,
  );
  const near = openLinkLines((member) => (member === 'far' && isOpen ? toFar : undefined));
  const far = openLinkLines(() => undefined);
  return {
    ...{ near, far, toNear, toFar, ends },
    ask: (body: unknown, member = 'far') => near.ask(member, 'echo', body, never),
    async letThrough() {
      for (let idle = 0; idle < 3; idle++) {
        for (let next = held.shift(); next; next = held.shift()) {
          next();
          idle = 0;
        }
        await turn();
      }
    },
    cut() {
      isOpen = false;
      near.ended(toFar);
    },
  };
}

test('a member with a link is asked there, and answers with who asked in mind', async () => {
  const it = scene();
  it.far.answerWith(async (member, { id, body }, bytes) => ({ id, body: { member, body, isCounted: bytes > 10 } }));
  const answers = Promise.all([it.ask('one'), it.ask(null)]);
  await it.letThrough();
  expect(await answers).toEqual([
    { body: { member: 'near', body: 'one', isCounted: true } },
    { body: { member: 'near', body: null, isCounted: true } },
  ]);
});

test('what a link is not for is asked elsewhere: no link, long questions, long answers, and a host that only begins', async () => {
  const it = scene();
  expect(await it.ask(1, 'a stranger')).toBeUndefined();
  expect(await it.ask('x'.repeat(QUESTION_BYTES_MAX))).toBeUndefined();
  const early = it.ask(1);
  await it.letThrough();
  expect(await early).toBeUndefined();
  it.far.answerWith(async (_member, { id }) => ({ id, body: 'x'.repeat(QUESTION_BYTES_MAX) }));
  const long = it.ask(1);
  await it.letThrough();
  expect(await long).toBeUndefined();
});

test('a question is asked elsewhere when its link ends, and so is one too many', async () => {
  const it = scene();
  const open = Array.from({ length: 64 }, (_, at) => it.ask(at));
  expect(await it.ask('one too many')).toBeUndefined();
  it.cut();
  expect(new Set(await Promise.all(open))).toEqual(new Set([undefined]));
  expect(await it.ask(1)).toBeUndefined();
});

test('a refusal is told, and a question that is given up ends alone', async () => {
  const it = scene();
  const gate = Promise.withResolvers<void>();
  it.far.answerWith(async (_member, { id, body }) => {
    if (body === 'no') return { id, problem: 'not for you' };
    await gate.promise;
    return { id, body: 7 };
  });
  const refused = it.ask('no');
  const stop = new AbortController();
  const given = it.near.ask('far', 'echo', 'slow', stop.signal);
  const other = it.ask('slow');
  const settled = Promise.allSettled([refused, given]);
  await it.letThrough();
  stop.abort(new Error('enough'));
  expect((await settled).map((one) => one.status === 'rejected' && String(one.reason))).toEqual([
    'Error: not for you',
    'Error: enough',
  ]);
  gate.resolve();
  await it.letThrough();
  expect(await other).toEqual({ body: 7 });
});

test('one question of a link is answered after the other, and who asks on without waiting is told off', async () => {
  const it = scene();
  let atOnce = 0;
  let most = 0;
  it.far.answerWith(async (_member, { id }) => {
    most = Math.max(most, ++atOnce);
    await turn();
    atOnce--;
    return { id, body: null };
  });
  const question = (id: number) => Buffer.from(JSON.stringify({ id, kind: 'echo', body: null }));
  for (let id = 0; id < 64; id++) it.far.questioned(it.toNear, question(id));
  expect(() => it.far.questioned(it.toNear, question(64))).toThrow('without waiting');
  while (atOnce > 0) await turn();
  expect(most).toBe(1);
});

test.each([
  ['no JSON', '{{'],
  ['no question', 'null'],
  ['a question without a kind', '{"id":1}'],
])('%s is no way to ask, and costs the link', (_, text) => {
  const it = scene();
  const malformed = expect.objectContaining({ reason: 'malformed' });
  expect(() => it.far.questioned(it.toNear, Buffer.from(text))).toThrow(malformed);
});

test('an answer that nobody waits for is no offence, and one that is no JSON is', async () => {
  const it = scene();
  const asked = it.ask(1);
  it.near.answered(it.toFar, Buffer.from('{"id":9,"body":2}'));
  expect(() => it.near.answered(it.toFar, Buffer.from('{{'))).toThrow('no answer');
  it.near.answered(it.toFar, Buffer.from('{"id":0,"body":3}'));
  expect(await asked).toEqual({ body: 3 });
});

test('a member with many questions leaves others their turn', async () => {
  const it = scene();
  let answered = 0;
  it.far.answerWith(async (_member, { id }) => {
    for (const from = performance.now(); performance.now() < from + 2; );
    answered++;
    return { id, body: null };
  });
  for (let id = 0; id < 60; id++)
    it.far.questioned(it.toNear, Buffer.from(JSON.stringify({ id, kind: 'echo', body: null })));
  await turn();
  expect(answered).toBeLessThan(60);
  while (answered < 60) await turn();
});

test('whoever asks too much loses the link', async () => {
  const it = scene();
  it.far.answerWith(async () => {
    throw new Error('it asks too much');
  });
  it.far.questioned(it.toNear, Buffer.from('{"id":0,"kind":"echo","body":1}'));
  await turn();
  expect(it.ends).toEqual(['refused']);
});
