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

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s is not supported', (method) => {
    expect(codeOf('/v2/library/busybox/blobs/uploads/', method)).toBe('unsupported');
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

test('both digest algorithms are taken', () => {
  expect(codeOf(`/v2/a/b/blobs/sha512:${'b'.repeat(128)}`)).toBe('blob');
  expect(codeOf(`/v2/a/b/referrers/sha256:${HEX}`)).toBe('referrers');
});
