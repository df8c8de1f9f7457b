import { expect, test } from 'vitest';
import { arrival, fakeMember, happen, hashesOf, helloWith, only, receive } from './fake-member.ts';
import { helloOf, isComplete, nextDue } from './member-state.ts';

test('a member with every piece asks for the proof, and is sealed by it', () => {
  const member = fakeMember(2);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(2, [0, 1]) });
  expect(only(receive(member, 1, 1), 'seal')).toEqual([]);
  expect(only(receive(member, 2, 1), 'seal')).toEqual([{ kind: 'seal' }]);
  expect(isComplete(member)).toBe(true);
  expect(only(happen(member, 3, { kind: 'proven' }), 'unlink')).toMatchObject([{ why: 'done' }]);
});

test('a piece is told only after it is kept', () => {
  const member = fakeMember(2);
  for (const link of [1, 2]) happen(member, 0, { kind: 'linked', link, hello: helloWith(2, link === 1 ? [0] : []) });
  happen(member, 1, { kind: 'offered', link: 1, insists: false }, arrival(1, 0));
  expect(only(happen(member, 100, { kind: 'tick' }), 'have')).toEqual([]);
  happen(member, 101, { kind: 'kept', piece: 0 });
  expect(only(happen(member, nextDue(member), { kind: 'tick' }), 'have')).toMatchObject([{ to: [1, 2], pieces: [0] }]);
});

test('pieces of an earlier life are neither fetched nor told before the proof', () => {
  const member = fakeMember(2, { held: new Uint32Array([1]) });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(2, [0]) });
  expect(only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'decline')).toHaveLength(1);
  expect(helloOf(member).held[0]).toBe(0);
});

test('a blob that is sealed here is offered from the start', () => {
  const member = fakeMember(2, { sealed: hashesOf(2) });
  expect(helloOf(member).held[0]).toBe(3);
  const decisions = happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(2, []) });
  expect(only(decisions, 'offer').length).toBeGreaterThan(0);
});

test('what comes from a link that is gone is passed over', () => {
  const member = fakeMember(2);
  expect(happen(member, 0, arrival(5, 0), { kind: 'offered', link: 5, insists: true })).toEqual([]);
});
