import { expect, test } from 'vitest';
import { arrival, fakeMember, happen, hashesOf, helloWith, only, receive } from './fake-member.ts';
import { HAVE_EVERY_MS, LINKS_MAX, LINKS_OPENED_FIRST } from './limits.ts';
import { convict, noteMiss } from './standing.ts';
import type { MemberEvent } from './words.ts';

const COUNT = 8;
const ALL = Array.from({ length: COUNT }, (_, piece) => piece);

const welcome = (members: readonly number[]): MemberEvent => ({
  kind: 'answered',
  home: 100,
  answer: { members, reportEveryMs: 1000, usualUplink: 0 },
});

test('a joiner links to some of the members it is named, the first ones first, and never to itself', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'tick' });
  const members = [0, ...Array.from({ length: 16 }, (_, index) => 11 + index)];
  const opened = only(happen(member, 1, welcome(members)), 'link').map(({ to }) => to);
  expect(opened).toEqual(Array.from({ length: LINKS_OPENED_FIRST }, (_, index) => 11 + index));
});

test('a link beyond the most is refused', () => {
  const member = fakeMember(COUNT);
  for (let link = 1; link <= LINKS_MAX; link++) {
    happen(member, 0, { kind: 'linked', link, hello: helloWith(COUNT, []) });
  }
  expect(happen(member, 0, { kind: 'linked', link: 99, hello: helloWith(COUNT, []) })).toEqual([
    { kind: 'unlink', link: 99, why: 'full' },
  ]);
});

test('a member that disappointed too often is refused', () => {
  const member = fakeMember(COUNT);
  for (const at of [0, 1000, 2000]) noteMiss(member.standing, 1, at);
  expect(happen(member, 2001, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) })).toEqual([
    { kind: 'unlink', link: 1, why: 'quarantine' },
  ]);
});

test('a member that lied is given what it lacks, after all others, and asked for nothing', () => {
  const member = fakeMember(COUNT, { sealed: hashesOf(COUNT) });
  convict(member.standing, 1, 0);
  const decisions = [2, 3, 4, 5, 1, 6].flatMap((link) =>
    happen(member, 1, { kind: 'linked', link, hello: helloWith(COUNT, []) }),
  );
  expect(only(decisions, 'unlink')).toEqual([]);
  expect(only(decisions, 'offer').map(({ to }) => to)).toEqual([2, 3, 4, 5]);
  const offered = [2, 3].flatMap((link) => only(happen(member, 2, { kind: 'declined', link, inFlight: 0 }), 'offer'));
  expect(offered.map(({ to }) => to)).toEqual([6, 1]);
});

test('what a member that lied says it has does not count, from the moment that it is caught', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [0, 1]) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(COUNT, [1, 2]) });
  const [request] = only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'request');
  convict(member.standing, 1, 2);
  const decisions = happen(member, 250, { kind: 'tick' });
  expect(only(decisions, 'cancel')).toEqual([{ kind: 'cancel', from: 1, piece: request?.piece }]);
  expect(only(decisions, 'request').map(({ from }) => from)).toEqual([2]);
  expect([...member.rarity].slice(0, 4)).toEqual([0, 1, 1, 0]);
  happen(member, 251, { kind: 'have', link: 1, pieces: [3], inFlight: 0 });
  expect([...member.rarity].slice(0, 4)).toEqual([0, 1, 1, 0]);
  expect(only(happen(member, 252, { kind: 'offered', link: 1, insists: true }), 'decline')).toMatchObject([{ to: 1 }]);
});

test('one that lied and has it all is of no use, and a link for another is opened', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  happen(member, 0, { kind: 'tick' });
  happen(member, 1, welcome([2, 3, 4, 5, 6, 7, 8]));
  convict(member.standing, 1, 2);
  expect(only(happen(member, 250, { kind: 'tick' }), 'unlink')).toEqual([{ kind: 'unlink', link: 1, why: 'done' }]);
});

test('one that lied makes room for another when there are enough links', () => {
  const member = fakeMember(COUNT);
  convict(member.standing, 7, 0);
  for (let link = 1; link <= LINKS_MAX; link++)
    happen(member, 1, { kind: 'linked', link, hello: helloWith(COUNT, []) });
  const decisions = happen(member, 2, { kind: 'linked', link: 99, hello: helloWith(COUNT, []) });
  expect(decisions).toEqual([{ kind: 'unlink', link: 7, why: 'full' }]);
  expect(member.links.has(99)).toBe(true);
});

test('news of pieces goes out together, a moment later', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  for (const link of [2, 3]) happen(member, 0, { kind: 'linked', link, hello: helloWith(COUNT, []) });
  receive(member, 10, 1);
  const [first] = only(happen(member, 10 + HAVE_EVERY_MS, { kind: 'tick' }), 'have');
  for (const link of [2, 3]) {
    happen(member, 100, { kind: 'asked', link, piece: first?.pieces[0] ?? -1, inFlight: 1 });
  }
  receive(member, 101, 1);
  receive(member, 102, 1);
  expect(only(happen(member, 110, { kind: 'tick' }), 'have')).toEqual([]);
  const [news] = only(happen(member, 101 + HAVE_EVERY_MS, { kind: 'tick' }), 'have');
  expect(news).toMatchObject({ to: [2, 3] });
  expect(news?.pieces).toHaveLength(2);
});

test('a piece is told sooner while the uplink idles', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(COUNT, []) });
  receive(member, 10, 1);
  const decisions = happen(member, 10 + HAVE_EVERY_MS / 4, { kind: 'tick' });
  expect(only(decisions, 'have')).toHaveLength(1);
  expect(only(decisions, 'offer')).toMatchObject([{ to: 2 }]);
});

test('the pieces of a link that goes are open again', () => {
  const member = fakeMember(COUNT);
  for (const link of [1, 2]) happen(member, 0, { kind: 'linked', link, hello: helloWith(COUNT, [3]) });
  happen(member, 1, { kind: 'offered', link: 1, insists: false });
  happen(member, 2, { kind: 'unlinked', link: 1 });
  const [request] = only(happen(member, 3, { kind: 'offered', link: 2, insists: false }), 'request');
  expect(request?.piece).toBe(3);
});

test('two that have it all part', () => {
  const member = fakeMember(COUNT, { sealed: hashesOf(COUNT) });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [0, 1, 2]) });
  const decisions = happen(member, 1, { kind: 'have', link: 1, pieces: [3, 4, 5, 6, 7], inFlight: 0 });
  expect(decisions).toEqual([{ kind: 'unlink', link: 1, why: 'done' }]);
});

test('pieces that cannot be are not believed', () => {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, []) });
  happen(member, 1, { kind: 'have', link: 1, pieces: [-1, 8, 1e9, Number.NaN], inFlight: 0 });
  expect(member.links.get(1)?.heldCount).toBe(0);
  expect(happen(member, 2, arrival(1, 99))).toEqual([]);
});
