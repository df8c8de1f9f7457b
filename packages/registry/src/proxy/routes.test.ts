import { expect, test } from 'vitest';
import { type ProxiedOrigin, routesTo } from './routes.ts';
import { parseAuthority } from './target.ts';

const origin = (name: string, url: string, more: Partial<ProxiedOrigin> = {}): ProxiedOrigin => ({
  name,
  url,
  realms: [],
  isProxied: undefined,
  ...more,
});

const ORIGINS = [
  origin('docker.io', 'https://registry-1.docker.io'),
  origin('ghcr.io', 'https://ghcr.io'),
  origin('registry.example.com', 'https://upstream.example.com:8443', { realms: ['auth.example.com'] }),
  origin('plain.example.com:5080', 'http://10.0.0.5:5000'),
  origin('here.example.com', 'http://127.0.0.1:5000'),
  origin('left.example.com', 'https://left.example.com', { isProxied: false }),
];

function led(way: 'secure' | 'plain', place: string, origins = ORIGINS): string | undefined {
  const target = parseAuthority(place, undefined);
  return target && routesTo(origins, 'tunnel')[way](target);
}

test.each([
  ['secure', 'ghcr.io:443', 'ghcr.io'],
  ['secure', 'ghcr.io:8443', undefined],
  ['secure', 'registry.example.com:443', 'registry.example.com'],
  ['secure', 'upstream.example.com:8443', 'registry.example.com'],
  ['secure', 'upstream.example.com:443', undefined],
  ['secure', 'plain.example.com:5080', 'plain.example.com:5080'],
  ['secure', '10.0.0.5:5000', 'plain.example.com:5080'],
  ['plain', 'plain.example.com:5080', 'plain.example.com:5080'],
  ['plain', '10.0.0.5:5000', 'plain.example.com:5080'],
  ['plain', 'registry.example.com:80', 'registry.example.com'],
  ['plain', 'upstream.example.com:8443', undefined],
  ['secure', 'here.example.com:443', 'here.example.com'],
  ['secure', '127.0.0.1:5000', undefined],
  ['plain', '127.0.0.1:5000', undefined],
  ['secure', 'left.example.com:443', undefined],
  ['secure', 'registry-1.docker.io:443', undefined],
  ['secure', 'docker.io:443', undefined],
] as const)('%s clients that want %s mean %s', (way, place, name) => {
  expect(led(way, place)).toBe(name);
});

test('Docker Hub is answered for by its registry’s name only, and only when told to', () => {
  const hub = [origin('docker.io', 'https://registry-1.docker.io', { isProxied: true })];
  expect(led('secure', 'registry-1.docker.io:443', hub)).toBe('docker.io');
  expect(led('secure', 'docker.io:443', hub)).toBeUndefined();
  expect(routesTo(hub, 'tunnel').hosts).toEqual(['registry-1.docker.io']);
});

test('certificates are for the hosts of origins that are answered for, and no others', () => {
  expect(routesTo(ORIGINS, 'tunnel').hosts.toSorted()).toEqual([
    '10.0.0.5',
    'ghcr.io',
    'here.example.com',
    'plain.example.com',
    'registry.example.com',
    'upstream.example.com',
  ]);
});

test('when others are refused, origins and the hosts of their tokens stay open', () => {
  const { isOpen } = routesTo(ORIGINS, 'refuse');
  const open = ['registry-1.docker.io', 'auth.docker.io', 'auth.example.com', 'left.example.com', 'ghcr.io'];
  expect(open.filter((host) => !isOpen(host))).toEqual([]);
  expect(isOpen('elsewhere.example.com')).toBe(false);
});
