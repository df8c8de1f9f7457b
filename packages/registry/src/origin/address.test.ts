import { lookup } from 'node:dns';
import { createSecureContext } from 'node:tls';
import { expect, test } from 'vitest';
import { permitsForeign, reachOf } from './address.ts';

test.each([
  ['8.8.8.8', 'public'],
  ['2001:4860:4860::8888', 'public'],
  ['127.8.9.1', 'loopback'],
  ['0.0.0.0', 'loopback'],
  ['::', 'loopback'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::127.0.0.1', 'loopback'],
  ['64:ff9b::127.0.0.1', 'loopback'],
  ['2002:7f00:1::', 'loopback'],
  ['64:ff9b::169.254.169.254', 'link-local'],
  ['64:ff9b::8.8.8.8', 'public'],
  ['169.254.169.254', 'link-local'],
  ['::ffff:169.254.169.254', 'link-local'],
  ['fe80::1', 'link-local'],
  ['fd00:ec2::254', 'link-local'],
  ['255.255.255.255', 'link-local'],
  ['10.1.2.3', 'private'],
  ['172.31.0.1', 'private'],
  ['172.32.0.1', 'public'],
  ['fd12::1', 'private'],
])('%s is %s', (address, reach) => {
  expect(reachOf(address)).toBe(reach);
});

test('an origin at a link-local address may send us back to itself, but not to its neighbours', async () => {
  const trust = () => createSecureContext();
  const permits = permitsForeign({ origin: 'lab', host: '169.254.1.1', lookup, trust });
  expect(await permits('169.254.1.1', true)).toBe(true);
  expect(await permits('169.254.169.254', true)).toBe(false);
});
