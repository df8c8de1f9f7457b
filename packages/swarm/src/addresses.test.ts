import { expect, test } from 'vitest';
import { formatHostPort, reachableAt } from './addresses.ts';

test('a member is reached where it listens, or by the name it was given', () => {
  expect(reachableAt([{ host: '10.0.0.7', port: 5053 }], undefined)).toEqual([{ host: '10.0.0.7', port: 5053 }]);
  expect(reachableAt([{ host: '0.0.0.0', port: 5053 }], 'node-7.example')).toEqual([
    { host: 'node-7.example', port: 5053 },
  ]);
});

test('a member that listens everywhere names the addresses of its host, and never the one that means all', () => {
  const named = reachableAt([{ host: '0.0.0.0', port: 5053 }], undefined);
  expect(named.length).toBeGreaterThan(0);
  expect(named.length).toBeLessThanOrEqual(8);
  for (const { host, port } of named) {
    expect(host).toMatch(/^[0-9.]+$/);
    expect(host).not.toBe('0.0.0.0');
    expect(port).toBe(5053);
  }
});

test('an IPv6 address is written in brackets', () => {
  expect(formatHostPort({ host: 'fd00::1', port: 1 })).toBe('[fd00::1]:1');
  expect(formatHostPort({ host: '10.0.0.1', port: 2 })).toBe('10.0.0.1:2');
});
