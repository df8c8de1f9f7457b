import { expect, test } from 'vitest';
import { formatTarget, parseAbsolute, parseAuthority } from './target.ts';

const read = (text: string, port?: number) => {
  const target = parseAuthority(text, port);
  return target && formatTarget(target);
};

test.each([
  ['registry.example.com:443', 'registry.example.com:443'],
  ['Registry.EXAMPLE.com:443', 'registry.example.com:443'],
  ['registry.example.com.:443', 'registry.example.com:443'],
  ['my_host.internal:5000', 'my_host.internal:5000'],
  ['10.0.0.5:5000', '10.0.0.5:5000'],
  ['[FD12:0::1]:5000', '[fd12::1]:5000'],
  ['[0:0:0:0:0:0:0:1]:1', '[::1]:1'],
  ['[::ffff:127.0.0.1]:80', '[::ffff:7f00:1]:80'],
])('%s is %s', (text, target) => {
  expect(read(text)).toBe(target);
});

test.each([
  '',
  'registry.example.com',
  'registry.example.com:',
  'registry.example.com:0',
  'registry.example.com:0443',
  'registry.example.com:65536',
  'registry.example.com:443:443',
  'registry.example.com..:443',
  '.registry.example.com:443',
  'registry.example.com\0.evil.test:443',
  'registry.example.com%00:443',
  'registry.example.com:443@evil.test:443',
  'evil.test:443#registry.example.com:443',
  'registry.example.com/:443',
  'registry.example.com\\:443',
  ' registry.example.com:443',
  'registry.example.com:443 ',
  'reg\u0131stry.example.com:443',
  '\u212Aubernetes.io:443',
  '-registry.example.com:443',
  '2130706433:443',
  '0x7f000001:443',
  '0x7f.1:443',
  '127.1:443',
  '0177.0.0.1:443',
  '127.0.0.1.1:443',
  '1.2.3.256:443',
  '[fe80::1%eth0]:443',
  '[127.0.0.1]:443',
  '[::1:443',
  '::1:443',
  `${'a'.repeat(64)}.test:443`,
  `${'a.'.repeat(130)}test:443`,
])('%j names no place in just one way', (text) => {
  expect(read(text)).toBeUndefined();
});

test.each([
  ['http://plain.example.com/v2/', 'plain.example.com:80', '/v2/'],
  ['HTTP://plain.example.com:5080/v2/?a=b', 'plain.example.com:5080', '/v2/?a=b'],
  ['http://plain.example.com', 'plain.example.com:80', '/'],
  ['http://plain.example.com?x', 'plain.example.com:80', '/?x'],
  ['http://plain.example.com//evil.test/', 'plain.example.com:80', '//evil.test/'],
])('%s goes to %s for %s', (text, place, path) => {
  const read = parseAbsolute(text);
  expect([read && formatTarget(read.target), read?.path]).toEqual([place, path]);
});

test.each([
  '/v2/',
  'https://registry.example.com/v2/',
  'ftp://registry.example.com/',
  'http:///v2/',
  'http://user:password@registry.example.com/',
  'http://registry.example.com/#fragment',
  'http:registry.example.com/',
  '*',
])('%s is no request for a proxy', (text) => {
  expect(parseAbsolute(text)).toBeUndefined();
});
