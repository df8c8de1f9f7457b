import { Failure, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { fakeMembers } from './fake-members.ts';
import { addImage, type Lab, OCI_IMAGE, OCI_INDEX, startLab } from './fake-parts.ts';

async function scene() {
  const members = fakeMembers();
  const lab = await startLab({}, { members });
  const image = addImage(lab.hub, 'library/app', '1');
  members.held.set(image.digest, image.bytes);
  return { lab, members, ...image, url: `${lab.base}/v2/library/app/manifests/${image.digest}` };
}

const gets = (lab: Lab) => lab.hub.asked.filter((question) => question.includes(' get '));

test('a manifest that other members hold comes from them, byte for byte, and is kept', async () => {
  const { lab, url, bytes, digest, layer } = await scene();
  await using _ = lab;
  const answer = await fetch(url);
  expect([answer.headers.get('drayage-source'), answer.headers.get('content-type')]).toEqual(['peer', OCI_IMAGE]);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(bytes);
  expect(lab.hub.asked).toEqual([`anonymous head library/app ${digest}`]);
  expect(lab.happenings).toContainEqual({
    kind: 'fetched',
    from: 'peer',
    origin: 'docker.io',
    bytes: bytes.length,
  });
  expect((await fetch(url)).headers.get('drayage-source')).toBe('disk');
  expect((await fetch(`${lab.base}/v2/library/app/blobs/${layer}`)).status).toBe(200);
});

test('a tag is resolved by its origin alone, and what it means then comes from members', async () => {
  const { lab, members, digest } = await scene();
  await using _ = lab;
  const answer = await fetch(`${lab.base}/v2/library/app/manifests/1`);
  expect(answer.headers.get('drayage-source')).toBe('peer');
  expect(answer.headers.get('docker-content-digest')).toBe(digest);
  expect(members.asked).toEqual([`small ${digest}`]);
  expect(lab.hub.asked).toContain('anonymous head library/app 1');
  expect(gets(lab)).toEqual([]);
});

test('many clients that want one manifest ask the members once', async () => {
  const { lab, url, members } = await scene();
  await using _ = lab;
  const gate = Promise.withResolvers<void>();
  members.gate = gate.promise;
  const answers = Promise.all([fetch(url), fetch(url), fetch(url, { method: 'HEAD' })]);
  await expect.poll(() => members.asked.length).toBe(1);
  gate.resolve();
  expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(members.asked).toHaveLength(1);
});

test('what no member holds comes from the origin at once, and what they send late is not waited for', async () => {
  const { lab, members, url, bytes, digest } = await scene();
  await using _ = lab;
  members.gate = new Promise(() => {});
  const answer = await fetch(url);
  expect(answer.headers.get('drayage-source')).toBe('origin');
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(bytes);
  expect(gets(lab)).toEqual([`anonymous get library/app ${digest}`]);

  const none = await scene();
  await using _none = none.lab;
  none.members.held.clear();
  expect((await fetch(none.url)).headers.get('drayage-source')).toBe('origin');
  const head = await scene();
  await using _head = head.lab;
  head.members.held.clear();
  expect((await fetch(head.url, { method: 'HEAD' })).headers.get('docker-content-digest')).toBe(head.digest);
  expect(gets(head.lab)).toEqual([]);
});

test.each([
  [new Failure('origin_unavailable', 'no member answers'), 0],
  [new Error('a bug'), 1],
])('members that fail (%s) cost nothing but the question', async (error, told) => {
  const { lab, members, url } = await scene();
  await using _ = lab;
  members.fetchSmall = () => Promise.reject(error);
  expect((await fetch(url)).headers.get('drayage-source')).toBe('origin');
  expect(lab.happenings.filter(({ kind }) => kind === 'error')).toHaveLength(told);
});

test('a member cannot bring a manifest, or its layers, under the name of a repository that does not hold it', async () => {
  const { lab, members, url } = await scene();
  await using _ = lab;
  await fetch(url);
  const secret = addImage(lab.other, 'team/secret', '1', Buffer.from('secret layer'));
  members.held.set(secret.digest, secret.bytes);
  members.vouched.add(`docker.io/library/app ${secret.digest}`);
  await lab.store.put(secret.layer, secret.layerBytes);
  const ask = async (what: string) => (await fetch(`${lab.base}/v2/library/app/${what}`)).status;
  expect(await ask(`manifests/${secret.digest}`)).toBe(404);
  expect(await ask(`blobs/${secret.layer}`)).toBe(404);
  expect(members.asked.filter((asked) => asked.startsWith('vouch'))).toEqual([]);
});

test('what members send that is no manifest is left for the origin to explain', async () => {
  const { lab, members, layer, layerBytes } = await scene();
  await using _ = lab;
  members.held.set(layer, layerBytes);
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${layer}`)).status).toBe(404);
  const twofold = Buffer.from('{"schemaVersion":2,"manifests":[],"layers":[]}');
  members.held.set(sha256(twofold), twofold);
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${sha256(twofold)}`)).status).toBe(404);
});

test('the manifests that an index names come from members without a question to the origin', async () => {
  const { lab, members, digest, bytes } = await scene();
  await using _ = lab;
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: OCI_IMAGE, digest, size: bytes.length }] }),
  );
  lab.hub.manifests.set(`library/app ${sha256(index)}`, { mediaType: OCI_INDEX, bytes: index });
  members.held.set(sha256(index), index);
  const ofIndex = await fetch(`${lab.base}/v2/library/app/manifests/${sha256(index)}`);
  expect(ofIndex.headers.get('content-type')).toBe(OCI_INDEX);
  lab.hub.asked.length = 0;
  expect((await fetch(`${lab.base}/v2/library/app/manifests/${digest}`)).headers.get('drayage-source')).toBe('peer');
  expect(lab.hub.asked).toEqual([]);
});
