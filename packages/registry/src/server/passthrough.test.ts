import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { addImage, OCI_INDEX, startLab } from './fake-parts.ts';

const TAGS = Buffer.from('{"name":"team/app","tags":["a","b"]}');
const DIGEST = sha256(Buffer.from('subject'));

async function startWithList(contentType: string, link?: string) {
  const lab = await startLab();
  lab.other.list = { status: 200, contentType, link, filtersApplied: undefined, bytes: TAGS };
  return lab;
}

test('a list of tags is passed on, and its next page is at the path the client used', async () => {
  const link = '</v2/team/app/tags/list?last=b&n=2>; rel="next"';
  await using lab = await startWithList('application/json; charset=utf-8', link);
  const prefixed = await fetch(`${lab.base}/v2/registry.example.com/team/app/tags/list?n=2`);
  expect(Buffer.from(await prefixed.arrayBuffer())).toEqual(TAGS);
  expect(prefixed.headers.get('link')).toBe('</v2/registry.example.com/team/app/tags/list?n=2&last=b>; rel="next"');
  const named = await fetch(`${lab.base}/v2/team/app/tags/list?ns=registry.example.com&n=2`);
  expect(named.headers.get('link')).toBe('</v2/team/app/tags/list?n=2&last=b&ns=registry.example.com>; rel="next"');
  expect(lab.other.asked).toContain('anonymous tags team/app n=2');
});

test('a link to somewhere else never reaches the client', async () => {
  await using lab = await startWithList('application/json', '<http://evil.example.com/steal?n=1&token=x>; rel="next"');
  const answer = await fetch(`${lab.base}/v2/registry.example.com/team/app/tags/list`);
  expect(answer.headers.get('link')).toBe('</v2/registry.example.com/team/app/tags/list?n=1>; rel="next"');
});

test('referrers are passed on with the filter that was applied', async () => {
  await using lab = await startWithList(OCI_INDEX);
  const list = lab.other.list;
  if (list) lab.other.list = { ...list, filtersApplied: 'artifactType' };
  const answer = await fetch(`${lab.base}/v2/registry.example.com/team/app/referrers/${DIGEST}?artifactType=a%2Fb`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, OCI_INDEX]);
  expect(answer.headers.get('oci-filters-applied')).toBe('artifactType');
  expect(lab.other.asked).toContain(`anonymous referrers team/app ${DIGEST} artifactType=a%2Fb`);
});

test('a list that is no JSON, or that there is not, is unknown', async () => {
  await using lab = await startWithList('text/html');
  const url = `${lab.base}/v2/registry.example.com/team/app/tags/list`;
  const html = await fetch(url);
  lab.other.list = undefined;
  const none = await fetch(url);
  expect([html.status, none.status]).toEqual([404, 404]);
  expect(await none.json()).toMatchObject({ errors: [{ code: 'NAME_UNKNOWN' }] });
});

test('lists of a private repository stay private', async () => {
  await using lab = await startWithList('application/json');
  addImage(lab.other, 'team/app', '1');
  lab.other.state = 'private';
  expect((await fetch(`${lab.base}/v2/registry.example.com/team/app/tags/list`)).status).toBe(403);
});
