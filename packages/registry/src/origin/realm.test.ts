import { expect, test } from 'vitest';
import { checkedRealm } from './realm.ts';

test.each([
  ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
  ['https://ghcr.io', 'https://ghcr.io/token'],
  ['https://registry.example:5000', 'https://registry.example:5001/auth'],
  ['http://registry.example:5000', 'http://registry.example:5001/auth'],
  ['http://registry.example:5000', 'https://registry.example/auth'],
])('the credential for %s may be shown at %s', (origin, realm) => {
  expect(checkedRealm(realm, new URL(origin), [])).toMatchObject({ url: { href: realm }, isTrusted: true });
});

test.each([
  ['https://registry.example', 'http://registry.example/token'],
  ['https://registry-1.docker.io', 'http://auth.docker.io/token'],
  ['https://registry-1.docker.io', 'https://auth.docker.io@evil.example/token'],
  ['http://registry.example', 'http://127.0.0.1/token'],
  ['https://registry.example', '//registry.example/token'],
  ['https://registry.example', `https://registry.example/${'a'.repeat(2048)}`],
])('tokens for %s are not asked for at %s', (origin, realm) => {
  expect(checkedRealm(realm, new URL(origin), [])).toBeUndefined();
});

test.each([
  ['https://registry.example', 'https://auth.docker.io/token'],
  ['https://registry.example', 'https://auth.registry.example/token'],
  ['https://registry.example', 'https://registry.example.evil.example/token'],
  ['https://registry.example', 'https://registry.example./token'],
])('any other host than that of %s, such as %s, is asked for tokens that everyone gets only', (origin, realm) => {
  expect(checkedRealm(realm, new URL(origin), [])).toMatchObject({ url: { href: realm }, isTrusted: false });
});

test('a host that the operator lists may see the credential', () => {
  const realm = checkedRealm('https://auth.example/token', new URL('https://registry.example'), ['auth.example']);
  expect(realm?.isTrusted).toBe(true);
});
