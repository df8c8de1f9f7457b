import { expect, test } from 'vitest';
import { allowedRealm } from './realm.ts';

test.each([
  ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
  ['https://ghcr.io', 'https://ghcr.io/token'],
  ['https://registry.example:5000', 'https://registry.example:5001/auth'],
  ['http://registry.example:5000', 'http://registry.example:5001/auth'],
  ['http://registry.example:5000', 'https://registry.example/auth'],
])('tokens for %s may be asked for at %s', (origin, realm) => {
  expect(allowedRealm(realm, new URL(origin))?.href).toBe(realm);
});

test.each([
  ['https://registry.example', 'https://auth.docker.io/token'],
  ['https://registry.example', 'https://auth.registry.example/token'],
  ['https://registry.example', 'https://registry.example.evil.example/token'],
  ['https://registry.example', 'https://registry.example./token'],
  ['https://registry.example', 'http://registry.example/token'],
  ['https://registry-1.docker.io', 'http://auth.docker.io/token'],
  ['https://registry-1.docker.io', 'https://auth.docker.io@evil.example/token'],
  ['http://registry.example', 'http://127.0.0.1/token'],
  ['https://registry.example', '//registry.example/token'],
  ['https://registry.example', `https://registry.example/${'a'.repeat(2048)}`],
])('tokens for %s are not asked for at %s', (origin, realm) => {
  expect(allowedRealm(realm, new URL(origin))).toBeUndefined();
});
