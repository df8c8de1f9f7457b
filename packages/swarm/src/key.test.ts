import { expect, test } from 'vitest';
import { newSwarmKey, parseSwarmKeys } from './key.ts';

test('a new key is read back, and gives another secret for each purpose', () => {
  const text = newSwarmKey();
  const [key] = parseSwarmKeys(`# made today\n${text}\n`, 'swarm.key');
  const [again] = parseSwarmKeys(text, 'swarm.key');
  expect(key?.id).toBe(again?.id);
  expect(key?.derive('a')).toEqual(again?.derive('a'));
  expect(key?.derive('a')).not.toEqual(key?.derive('b'));
  expect(newSwarmKey()).not.toBe(text);
});

test('two keys may be active while they are being changed', () => {
  const keys = parseSwarmKeys(`${newSwarmKey()}\n${newSwarmKey()}`, 'swarm.key');
  expect(new Set(keys.map(({ id }) => id)).size).toBe(2);
});

test.each([
  ['is empty', ''],
  ['holds a line that is no key', 'hunter2'],
  ['holds a key that was cut', newSwarmKey().slice(0, -1)],
  ['holds three keys', `${newSwarmKey()}\n${newSwarmKey()}\n${newSwarmKey()}`],
  ['is too large', `${newSwarmKey()}\n${'#'.repeat(5000)}`],
])('a file that %s is refused without repeating it', (_, text) => {
  expect(() => parseSwarmKeys(text, 'swarm.key')).toThrow(/swarm.key is no swarm key file/);
  expect(() => parseSwarmKeys(text, 'swarm.key')).not.toThrow(/hunter2/);
});
