import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseChallenges } from './challenge.ts';

const DOCKER =
  'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"';
const UNDERSTOOD = {
  scheme: 'bearer',
  realm: 'https://auth.docker.io/token',
  service: 'registry.docker.io',
  scope: 'repository:library/busybox:pull',
  error: undefined,
};

test.each<[string, string | string[], readonly unknown[]]>([
  ['what Docker Hub sends', DOCKER, [UNDERSTOOD]],
  ['any case and spacing', DOCKER.replace('Bearer', 'bEARER').replaceAll(',', ' , '), [UNDERSTOOD]],
  ['several in one header', `Negotiate abc==, Basic realm="a, b", ${DOCKER}`, [{ scheme: 'basic' }, UNDERSTOOD]],
  ['several headers', ['Basic', DOCKER], [{ scheme: 'basic' }, UNDERSTOOD]],
  [
    'a plain value',
    'Bearer realm=https://a/t',
    [{ ...UNDERSTOOD, realm: 'https://a/t', service: undefined, scope: undefined }],
  ],
  [
    'an escaped quote',
    String.raw`Bearer realm="a\"b"`,
    [{ ...UNDERSTOOD, realm: 'a"b', service: undefined, scope: undefined }],
  ],
])('%s is understood', (_, header, expected) => {
  expect(parseChallenges(header)).toEqual(expected);
});

test.each([
  ['an open quote', 'Bearer realm="https://a/t'],
  ['an open quote after a sound challenge', `${DOCKER}, Basic realm="`],
  ['two realms', 'Bearer realm="https://a/t",realm="https://b/t"'],
  ['no realm', 'Bearer service="a"'],
  ['a control character', 'Bearer realm="https://a/t\n"'],
  ['a huge header', `Bearer realm="${'a'.repeat(9000)}"`],
  ['parameters of nothing', 'realm="https://a/t"'],
])('%s is no challenge', (_, header) => {
  expect(parseChallenges(header)).toEqual([]);
});

test('no header is too strange to be read, and none takes long', () => {
  const odd = fc.stringMatching(/^[ ,="\\A-Za-z\t]{0,200}$/);
  fc.assert(fc.property(fc.array(odd, { maxLength: 3 }), (headers) => Array.isArray(parseChallenges(headers))));
  const startedAt = performance.now();
  for (const part of [' ', ',', 'a ', 'a=', 'a="\\', '""', 'a=b ']) parseChallenges(part.repeat(8192 / part.length));
  expect(performance.now() - startedAt).toBeLessThan(500);
});
