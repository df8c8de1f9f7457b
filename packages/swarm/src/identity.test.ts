import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadIdentity } from './identity.ts';

const folder = () => mkdtemp(join(tmpdir(), 'drayage-identity-'));

test('the identity is made once, and only its owner may read it', async () => {
  const path = join(await folder(), 'identity');
  const first = await loadIdentity(path);
  const second = await loadIdentity(path);
  expect(second.publicKey.equals(first.publicKey)).toBe(true);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a damaged identity is told, not replaced', async () => {
  const path = join(await folder(), 'identity');
  await writeFile(path, 'nonsense');
  await expect(loadIdentity(path)).rejects.toThrow(`${path} is damaged`);
});
