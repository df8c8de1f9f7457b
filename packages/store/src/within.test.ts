import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { withinMs } from './within.ts';

/** Keeps this process from looking at anything. */
function beBusy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('work that never ends fails in time', async () => {
  await expect(withinMs(20, new Promise(() => {}))).rejects.toThrow('nothing happened within 20 ms');
});

test('what was done while the process was busy counts as done in time', async () => {
  const read = readFile(import.meta.filename, 'utf8');
  const outcome = withinMs(20, read);
  beBusy(60);
  expect(await outcome).toContain('beBusy');
});
