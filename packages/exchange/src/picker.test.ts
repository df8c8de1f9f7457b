import { expect, test } from 'vitest';
import { fakeMember, happen, helloWith } from './fake-member.ts';
import { READER_WAIT_MS } from './limits.ts';
import type { Member } from './member-state.ts';
import { pickPiece } from './picker.ts';

function pickFrom(member: Member, link: number): number | undefined {
  const found = member.links.get(link);
  return found && pickPiece(member, found);
}

test('the rarest piece is asked for first', () => {
  const member = fakeMember(8);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, [0, 1, 2]) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(8, [0, 2]) });
  expect(pickFrom(member, 1)).toBe(1);
});

test('a piece in the window ahead of the reader goes before a rarer one beyond it', () => {
  const member = fakeMember(8);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, [2, 7]) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(8, [2]) });
  expect(pickFrom(member, 1)).toBe(2);
  happen(member, 0, { kind: 'reading', piece: 4 });
  expect(pickFrom(member, 1)).toBe(7);
});

test('now and then the rarest of all comes first', () => {
  const member = fakeMember(8, { random: () => 0.01 });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, [2, 7]) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(8, [2]) });
  expect(pickFrom(member, 1)).toBe(7);
});

test('the piece the reader waits for goes before rarer ones', () => {
  const member = fakeMember(8);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, [0, 1]) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(8, [0]) });
  expect(pickFrom(member, 1)).toBe(1);
  happen(member, READER_WAIT_MS + 1, { kind: 'have', link: 2, pieces: [0], inFlight: 0 });
  expect(pickFrom(member, 1)).toBe(0);
});

test('what a nearer link has is left to it while there is enough to do', () => {
  const member = fakeMember(8, { zone: 'here' });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, [0, 1, 2], { zone: 'here' }) });
  happen(member, 0, { kind: 'linked', link: 2, hello: helloWith(8, [0, 1, 2, 3], { zone: 'there' }) });
  expect(pickFrom(member, 2)).toBe(3);
});

test('a link that has nothing of use is asked for nothing', () => {
  const member = fakeMember(8);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(8, []) });
  expect(pickFrom(member, 1)).toBeUndefined();
});
