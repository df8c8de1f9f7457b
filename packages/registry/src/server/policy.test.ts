import { expect, test } from 'vitest';
import { fits, policies, tagRule } from './policy.ts';

test.each([
  ['*', 'anything/at/all', true],
  ['team/*', 'team/app', true],
  ['team/*', 'teams/app', false],
  ['team/app', 'team/app', true],
  ['team/app', 'team/app2', false],
  ['v*.*.0', 'v1.2.0', true],
  ['v*.*.0', 'v1.0', false],
  ['a*a', 'a', false],
  ['*-rc*', '1.2-rc3', true],
])('the pattern %s and the text %s: %s', (pattern, text, expected) => {
  expect(fits(pattern, text)).toBe(expected);
});

test('a pattern of many stars takes no longer than its text is long', () => {
  expect(fits(`${'*a'.repeat(5000)}b`, 'a'.repeat(255))).toBe(false);
});

test('an origin without rules is public and its tags are asked for every time', () => {
  const policy = policies({}).for({ origin: 'docker.io', path: 'library/busybox' });
  expect(policy.access).toBe('public');
  expect(tagRule(policy, 'latest')).toEqual({ pattern: '*', ttlMs: 0, staleForMs: 7 * 24 * 3600 * 1000 });
});

test('the first repository pattern that fits overrides the origin, and the origin fills the gaps', () => {
  const versions = { pattern: 'v*', ttlMs: 60_000, staleForMs: 1 };
  const both = policies({
    'ghcr.io': { access: 'node', tags: [versions], repositories: [{ pattern: 'secret/*', access: 'bypass' }] },
  });
  const secret = both.for({ origin: 'ghcr.io', path: 'secret/app' });
  expect(secret.access).toBe('bypass');
  expect(tagRule(secret, 'v1')).toBe(versions);
  expect(both.for({ origin: 'ghcr.io', path: 'open/app' }).access).toBe('node');
});
