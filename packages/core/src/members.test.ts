import { expect, test } from 'vitest';
import { sha256 } from './digest.ts';
import { PUBLIC_FRESH_MS, provenHere } from './members.ts';

test('a host vouches for a day for what it proved itself, and for what it saw there alone', () => {
  const seen = sha256(Buffer.from('seen'));
  let now = 1000;
  const isProven = provenHere(
    {
      recallPublic: (repository) => (repository === 'docker.io/library/app' ? 1000 : undefined),
      belongs: (digest) => digest === seen,
    },
    () => now,
  );
  expect(isProven('docker.io/library/app', seen)).toBe(true);
  expect(isProven('docker.io/library/app', sha256(Buffer.from('unseen')))).toBe(false);
  expect(isProven('docker.io/library/other', seen)).toBe(false);
  now += PUBLIC_FRESH_MS;
  expect(isProven('docker.io/library/app', seen)).toBe(false);
});
