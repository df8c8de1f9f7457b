import { expect, test } from 'vitest';
import { openRoll } from './roll.ts';

const SELF = { member: 'self', links: [{ host: 'self.example', port: 1 }], zone: undefined };
const at = (member: string, host: string) => ({ member, links: [{ host, port: 1 }], zone: undefined });
const hostsOf = (contact: { readonly links: readonly { readonly host: string }[] } | undefined) =>
  contact?.links.map(({ host }) => host);

test('a member keeps its number', () => {
  const roll = openRoll(SELF);
  const id = roll.idOf('a');
  expect(roll.note(at('a', 'a.example'))).toBe(id);
  expect(roll.memberOf(id)).toBe('a');
  expect(roll.memberOf(roll.self)).toBe('self');
});

test("what others say of a member's place comes after what it says itself, and does not replace it", () => {
  const roll = openRoll(SELF);
  roll.note(at('a', 'right.example'));
  roll.hear(at('a', 'wrong.example'));
  expect(hostsOf(roll.contactOf('a'))).toEqual(['right.example', 'wrong.example']);
  roll.hear(at('a', 'right.example'));
  expect(hostsOf(roll.contactOf('a'))).toEqual(['right.example']);
});

test('nobody says where we are but ourselves', () => {
  const roll = openRoll(SELF);
  roll.hear(at('self', 'wrong.example'));
  expect(hostsOf(roll.contactOf('self'))).toEqual(['self.example']);
});

test('a member that names no place does not move by it', () => {
  const roll = openRoll(SELF);
  roll.note(at('a', 'a.example'));
  roll.note({ member: 'a', links: [], zone: undefined });
  expect(hostsOf(roll.contactOf('a'))).toEqual(['a.example']);
});

test('names beyond the bound strike off the oldest, and never ourselves', () => {
  const roll = openRoll(SELF);
  const first = roll.idOf('first');
  for (let at = 0; at < 65_536; at++) roll.idOf(`m${at}`);
  expect(roll.memberOf(first)).toBeUndefined();
  expect(roll.idOf('first')).not.toBe(first);
  expect(roll.memberOf(roll.self)).toBe('self');
});
