import { isFailure } from '@drayage/core';
import { describe, expect, test } from 'vitest';
import { type Names, parseTarget } from './request.ts';

const HEX = 'a'.repeat(64);
const ORIGINS = ['docker.io', 'ghcr.io', 'plain.example.com:5080', 'quay'];
const NAMES: Names = {
  defaultOrigin: 'docker.io',
  isOrigin: (name) => ORIGINS.includes(name),
  isOwn: (name) => name === 'localhost:5050',
};

function repositoryOf(path: string) {
  const target = parseTarget('GET', path, NAMES);
  return 'repository' in target ? `${target.repository.origin} ${target.repository.path}` : target.kind;
}

function codeOf(path: string, method = 'GET') {
  try {
    return parseTarget(method, path, NAMES).kind;
  } catch (error) {
    return isFailure(error) ? error.code : error;
  }
}

describe('the origin is what the client says in its dialect', () => {
  test.each([
    ['/v2/library/busybox/manifests/1', 'docker.io library/busybox'],
    ['/v2/library/busybox/manifests/1?ns=docker.io', 'docker.io library/busybox'],
    ['/v2/team/app/manifests/1?ns=ghcr.io', 'ghcr.io team/app'],
    ['/v2/team/app/manifests/1?ns=GHCR.io', 'ghcr.io team/app'],
    ['/v2/team/app/manifests/1?ns=plain.example.com%3A5080', 'plain.example.com:5080 team/app'],
    ['/v2/ghcr.io/team/app/manifests/1', 'ghcr.io team/app'],
    ['/v2/ghcr.io/team/app/manifests/1?ns=ghcr.io', 'ghcr.io team/app'],
    ['/v2/plain.example.com_5080/x/manifests/1', 'plain.example.com:5080 x'],
    ['/v2/plain.example.com_5080/x/manifests/1?ns=plain.example.com%3A5080', 'plain.example.com:5080 x'],
    ['/v2/quay/x/manifests/1', 'quay x'],
    ['/v2/docker.io/busybox/manifests/1', 'docker.io library/busybox'],
    ['/v2/manifests/blobs/manifests/1', 'docker.io manifests/blobs'],
  ])('%s is %s', (path, expected) => {
    expect(repositoryOf(path)).toBe(expected);
  });
});

describe('hostile and broken paths get an error of their own', () => {
  test.each([
    ['/v2/ghcr.io/manifests/1', 'name_unknown'],
    ['/v2/nowhere.example.com/x/manifests/1', 'name_unknown'],
    ['/v2/x/y/manifests/1?ns=169.254.169.254', 'name_unknown'],
    ['/v2/x/y/manifests/1?ns=localhost:5050', 'name_unknown'],
    ['/v2/localhost_5050/x/manifests/1', 'name_unknown'],
    ['/v2/x/y/manifests/1?ns=ghcr.io&ns=docker.io', 'name_invalid'],
    ['/v2/x/y/manifests/1?ns=ghcr.io/evil', 'name_invalid'],
    ['/v2/x/y/manifests/1?ns=', 'name_invalid'],
    ['/v2/x/y/manifests/1?ns=user@ghcr.io', 'name_invalid'],
    ['/v2/../../etc/passwd/manifests/1', 'name_invalid'],
    ['/v2/library/..%2f/manifests/1', 'name_invalid'],
    ['/v2/%67hcr.io/x/manifests/1', 'name_invalid'],
    ['/v2/Library/busybox/manifests/1', 'name_invalid'],
    ['/v2//x/manifests/1', 'name_invalid'],
    ['/v2/x//manifests/1', 'name_invalid'],
    [`/v2/${'a/'.repeat(128)}a/manifests/1`, 'name_invalid'],
    [`/v2/${'a'.repeat(2000)}/manifests/1`, 'name_invalid'],
    ['/v2/library/busybox/manifests/.hidden', 'manifest_unknown'],
    [`/v2/library/busybox/manifests/${'t'.repeat(129)}`, 'manifest_unknown'],
    ['/v2/library/busybox/manifests/sha256:zz', 'digest_invalid'],
    [`/v2/library/busybox/blobs/sha256:${HEX}0`, 'digest_invalid'],
    [`/v2/library/busybox/blobs/sha256:${HEX.toUpperCase()}`, 'digest_invalid'],
    [`/v2/library/busybox/blobs/md5:${'a'.repeat(32)}`, 'digest_invalid'],
    ['/v2/library/busybox/blobs/latest', 'digest_invalid'],
    ['/v2/library/busybox/tags/other', 'name_unknown'],
    ['/v2/library/busybox/tags/list?n=x', 'name_invalid'],
    ['/v2/library/busybox/tags/list?n=99999999999', 'name_invalid'],
    ['/v2/_catalog', 'name_unknown'],
    ['/v1/_ping', 'name_unknown'],
    ['/', 'name_unknown'],
    ['/v2/library/busybox/manifests/1/', 'name_unknown'],
    ['/v2/library/busybox/manifests/', 'name_unknown'],
  ])('%s is %s', (path, expected) => {
    expect(codeOf(path)).toBe(expected);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s of what is there already is not supported', (method) => {
    for (const what of [`blobs/sha256:${HEX}`, 'tags/list', ...(method === 'PUT' ? [] : ['manifests/1'])]) {
      expect(codeOf(`/v2/library/busybox/${what}`, method)).toBe('unsupported');
    }
  });
});

test('an unknown origin gets a message that says how to add it', () => {
  expect(() => parseTarget('GET', '/v2/new.example.com/x/manifests/1', NAMES)).toThrow(
    /--origin new\.example\.com=https:\/\/new\.example\.com.*origins:/,
  );
});

test('only the parameters that page a list go on to the origin', () => {
  expect(parseTarget('GET', '/v2/a/b/tags/list?n=2&last=x&ns=ghcr.io&evil=1', NAMES)).toMatchObject({
    kind: 'tags',
    query: 'n=2&last=x',
  });
});

describe('a push is understood by its method, path and query', () => {
  const SESSION = 'aZ_-'.repeat(5).concat('09');
  test.each([
    ['POST', '/v2/a/b/blobs/uploads/', { verb: 'begin', digest: undefined, mount: undefined }],
    ['POST', '/v2/a/b/blobs/uploads', { verb: 'begin' }],
    ['POST', `/v2/a/b/blobs/uploads/?digest=sha256%3A${HEX}`, { verb: 'begin', digest: `sha256:${HEX}` }],
    ['POST', `/v2/a/b/blobs/uploads/?mount=sha256:${HEX}`, { mount: { digest: `sha256:${HEX}`, from: undefined } }],
    ['POST', `/v2/a/b/blobs/uploads/?mount=sha256:${HEX}&from=docker.io/c`, { mount: { from: 'library/c' } }],
    ['POST', `/v2/a/b/blobs/uploads/?mount=sha256:${HEX}&from=ghcr.io/c`, { mount: undefined }],
    ['POST', `/v2/a/b/blobs/uploads/?mount=sha256:${HEX}&from=c/d&ns=ghcr.io`, { mount: { from: 'c/d' } }],
    ['POST', '/v2/a/b/blobs/uploads/?mount=evil&from=c/d', { mount: undefined }],
    ['PATCH', `/v2/a/b/blobs/uploads/${SESSION}`, { verb: 'append', session: SESSION }],
    ['GET', `/v2/a/b/blobs/uploads/${SESSION}`, { verb: 'ask', session: SESSION }],
    ['DELETE', `/v2/a/b/blobs/uploads/${SESSION}`, { verb: 'cancel', session: SESSION }],
    ['PUT', `/v2/a/b/blobs/uploads/${SESSION}?digest=sha256:${HEX}`, { verb: 'finish', digest: `sha256:${HEX}` }],
  ])('%s %s', (method, path, step) => {
    expect(parseTarget(method, path, NAMES)).toMatchObject({ kind: 'upload', place: '/v2/a/b/blobs', step });
  });

  test.each([
    ['PUT', `/v2/a/b/blobs/uploads/${SESSION}`, 'digest_invalid'],
    ['PUT', `/v2/a/b/blobs/uploads/${SESSION}?digest=sha256:${HEX}&digest=sha256:${HEX}`, 'digest_invalid'],
    ['POST', '/v2/a/b/blobs/uploads/?digest=md5:0', 'digest_invalid'],
    ['PATCH', '/v2/a/b/blobs/uploads/short', 'upload_unknown'],
    ['PATCH', `/v2/a/b/blobs/uploads/${SESSION}x`, 'upload_unknown'],
    ['PATCH', `/v2/nowhere.example.com/b/blobs/uploads/${SESSION}`, 'name_unknown'],
    ['PATCH', '/v2/a/b/blobs/uploads/', 'unsupported'],
    ['POST', `/v2/a/b/blobs/uploads/${SESSION}`, 'unsupported'],
    ['POST', '/v2/a/../b/blobs/uploads/', 'name_invalid'],
    ['PUT', '/v2/a/b/manifests/.hidden', 'manifest_unknown'],
    ['PUT', '/v2/a/b/manifests/sha256:zz', 'digest_invalid'],
  ])('%s %s is %s', (method, path, code) => {
    expect(codeOf(path, method)).toBe(code);
  });

  test('a manifest goes to its tag or digest', () => {
    expect(parseTarget('PUT', '/v2/ghcr.io/a/b/manifests/1', NAMES)).toEqual({
      kind: 'put',
      repository: { origin: 'ghcr.io', path: 'a/b' },
      reference: { tag: '1' },
      place: '/v2/ghcr.io/a/b/manifests',
    });
  });
});

test('both digest algorithms are taken', () => {
  expect(codeOf(`/v2/a/b/blobs/sha512:${'b'.repeat(128)}`)).toBe('blob');
  expect(codeOf(`/v2/a/b/referrers/sha256:${HEX}`)).toBe('referrers');
});
