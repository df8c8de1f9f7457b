import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type Digest, sha256 } from '@drayage/core';
import { type Blob, type Document, documentOf, image, noiseLayer } from '../lab/images.ts';
import type { Ask, Check } from './checks.ts';
import { OTHER_REPOSITORY } from './content.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const BYTES = 100_000;
const UNKNOWN: Digest = `sha256:${'1'.repeat(64)}`;

/** The write side: every blob and manifest is made anew, so that nothing of an earlier check helps. */
export const PUSH_CHECKS: readonly Check[] = [
  check('a blob comes whole with its PUT', async (ask) => {
    await expectPushed(ask, fresh(), async (blob) =>
      go(await begin(ask), 'PUT', { digest: blob.digest, body: blob.bytes }),
    );
  }),
  check('a blob comes whole with its POST, or is asked for', async (ask) => {
    await expectPushed(ask, fresh(), async ({ digest, bytes }) => {
      const answer = await ask(`blobs/uploads/?digest=${digest}`, {
        method: 'POST',
        body: bodyOf(bytes),
        headers: OCTETS,
      });
      return answer.status === 202 ? go(answer, 'PUT', { digest, body: bytes }) : answer;
    });
  }),
  check('a blob comes in chunks that say where they belong', async (ask) => {
    await expectPushed(ask, fresh(), async ({ digest, bytes }) => {
      const half = BYTES / 2;
      const one = await go(await begin(ask), 'PATCH', { body: bytes.subarray(0, half), range: `0-${half - 1}` });
      assert.equal(one.status, 202);
      assert.equal(one.headers.get('range'), `0-${half - 1}`);
      const two = await go(one, 'PATCH', { body: bytes.subarray(half), range: `${half}-${BYTES - 1}` });
      assert.equal(two.headers.get('range'), `0-${BYTES - 1}`);
      return go(two, 'PUT', { digest });
    });
  }),
  check('a blob comes in one stream of unknown length', async (ask) => {
    await expectPushed(ask, fresh(), async ({ digest, bytes }) => {
      const sent = await go(await begin(ask), 'PATCH', { body: new Response(bodyOf(bytes)).body as ReadableStream });
      assert.equal(sent.status, 202);
      return go(sent, 'PUT', { digest });
    });
  }),
  check('the last chunk comes with the PUT', async (ask) => {
    await expectPushed(ask, fresh(), async ({ digest, bytes }) => {
      const sent = await go(await begin(ask), 'PATCH', { body: bytes.subarray(0, 1000) });
      return go(sent, 'PUT', { digest, body: bytes.subarray(1000) });
    });
  }),
  check('a chunk out of order is 416, and the upload can be asked how far it is', async (ask) => {
    const { bytes } = fresh();
    const sent = await go(await begin(ask), 'PATCH', { body: bytes.subarray(0, 1000), range: '0-999' });
    assert.equal((await go(sent, 'PATCH', { body: bytes.subarray(5000), range: `5000-${BYTES - 1}` })).status, 416);
    const told = await go(sent, 'GET', {});
    assert.equal(told.status, 204);
    assert.equal(told.headers.get('range'), '0-999');
    assert.ok(told.headers.get('location'));
  }),
  check('an upload that is called off is gone', async (ask) => {
    const begun = await begin(ask);
    assert.equal((await go(begun, 'DELETE', {})).status, 204);
    assert.equal((await go(begun, 'GET', {})).status, 404);
  }),
  check('bytes that are not the digest are 400 DIGEST_INVALID', async (ask) => {
    const { bytes } = fresh();
    await expectError(await go(await begin(ask), 'PUT', { digest: UNKNOWN, body: bytes }), 400, 'DIGEST_INVALID');
    assert.equal((await ask(`blobs/${UNKNOWN}`, { method: 'HEAD' })).status, 404);
  }),
  check('an upload nobody began is 404 BLOB_UPLOAD_UNKNOWN', async (ask) => {
    const answer = await ask('blobs/uploads/00000000-0000-4000-8000-000000000000', { method: 'GET' });
    await expectError(answer, 404, 'BLOB_UPLOAD_UNKNOWN');
  }),
  check('a blob of another repository is mounted', async (ask) => {
    const blob = fresh();
    await expectPushed(ask, blob, async ({ digest, bytes }) => go(await begin(ask), 'PUT', { digest, body: bytes }));
    const from = encodeURIComponent(nameIn(await ask('tags/list')));
    const path = `blobs/uploads/?mount=${blob.digest}&from=${from}`;
    const mounted = await ask(path, { method: 'POST' }, OTHER_REPOSITORY);
    assert.equal(mounted.status, 201);
    assert.ok(
      mounted.headers.get('location')?.endsWith(blob.digest) ||
        mounted.headers.get('location')?.includes(`${blob.digest}?`),
    );
    assert.equal((await ask(`blobs/${blob.digest}`, { method: 'HEAD' }, OTHER_REPOSITORY)).status, 200);
  }),
  check('a blob that cannot be mounted is asked for', async (ask) => {
    const from = encodeURIComponent(nameIn(await ask('tags/list')));
    const path = `blobs/uploads/?mount=${UNKNOWN}&from=${from}`;
    const answer = await ask(path, { method: 'POST' }, OTHER_REPOSITORY);
    assert.equal(answer.status, 202);
    assert.ok(answer.headers.get('location'));
  }),
  ...(['tag', 'digest'] as const).map((by) =>
    check(`a manifest is put by ${by}`, async (ask) => {
      const manifest = await freshManifest(ask);
      const reference = by === 'tag' ? `t${manifest.digest.slice(-12)}` : manifest.digest;
      const answer = await put(ask, reference, manifest);
      assert.equal(answer.status, 201);
      assert.equal(answer.headers.get('docker-content-digest'), manifest.digest);
      const found = await ask(`manifests/${reference}`, { headers: { accept: MANIFEST } });
      assert.ok(Buffer.from(await found.arrayBuffer()).equals(manifest.bytes));
      assert.equal(found.headers.get('content-type'), MANIFEST);
    }),
  ),
  check('a manifest under the digest of another is 400 DIGEST_INVALID', async (ask) => {
    await expectError(await put(ask, UNKNOWN, await freshManifest(ask)), 400, 'DIGEST_INVALID');
  }),
  check('a manifest that names what is missing is refused as the origin does', async (ask, _content, origin) => {
    const bytes = JSON.parse((await freshManifest(ask)).bytes.toString());
    const broken = documentOf(MANIFEST, { ...bytes, layers: [{ ...bytes.layers[0], digest: UNKNOWN }] });
    const [ours, theirs] = [await put(ask, 'broken', broken), await put(origin, 'broken', broken)];
    assert.equal(ours.status, theirs.status);
    assert.equal(await codeOf(ours), await codeOf(theirs));
  }),
  check('a manifest with a subject is answered as the origin does', async (ask, { image: { top } }, origin) => {
    const subject = { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length };
    const manifest = documentOf(MANIFEST, { ...JSON.parse((await freshManifest(ask)).bytes.toString()), subject });
    const [ours, theirs] = [await put(ask, manifest.digest, manifest), await put(origin, manifest.digest, manifest)];
    assert.equal(ours.status, 201);
    assert.equal(ours.headers.get('oci-subject'), theirs.headers.get('oci-subject'));
  }),
  check('taking away is done, or refused as unsupported', async (ask) => {
    const manifest = await freshManifest(ask);
    await put(ask, manifest.digest, manifest);
    const answer = await ask(`manifests/${manifest.digest}`, { method: 'DELETE' });
    assert.ok([202, 405].includes(answer.status), `${answer.status}`);
  }),
];

const OCTETS = { 'content-type': 'application/octet-stream' };

function check(name: string, run: Check['run']): Check {
  return { group: 'push', name, run };
}

function fresh(): Blob {
  const bytes = randomBytes(BYTES);
  return { bytes, digest: sha256(bytes) };
}

/** A manifest that no registry has, of blobs that this repository has. */
async function freshManifest(ask: Ask): Promise<Document> {
  const { manifest, config, layers } = image([noiseLayer(randomBytes(8).toString('hex'), 1000)], 'oci');
  for (const { digest, bytes } of [config, ...layers]) {
    await expectPushed(ask, { digest, bytes }, async () => go(await begin(ask), 'PUT', { digest, body: bytes }));
  }
  assert.equal(JSON.parse(manifest.bytes.toString()).config.mediaType, CONFIG);
  return manifest;
}

async function begin(ask: Ask): Promise<Response> {
  const answer = await ask('blobs/uploads/', { method: 'POST' });
  assert.equal(answer.status, 202);
  assert.ok(answer.headers.get('location'));
  return answer;
}

interface Next {
  readonly digest?: Digest;
  readonly body?: Buffer | ReadableStream;
  readonly range?: string;
}

/** Goes on where the answer says. */
async function go(answer: Response, method: string, { digest, body, range }: Next): Promise<Response> {
  const url = new URL(answer.headers.get('location') ?? '', answer.url);
  if (digest !== undefined) url.searchParams.set('digest', digest);
  const headers = { ...OCTETS, ...(range !== undefined && { 'content-range': range }) };
  const sent = Buffer.isBuffer(body) ? bodyOf(body) : body;
  return fetch(url, { method, headers, ...(sent && { body: sent, duplex: 'half' }) } as RequestInit);
}

function bodyOf(bytes: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function put(ask: Ask, reference: string, { bytes, mediaType }: Document): Promise<Response> {
  return ask(`manifests/${reference}`, { method: 'PUT', body: bodyOf(bytes), headers: { 'content-type': mediaType } });
}

/** The repository's name as this way of asking writes it. */
function nameIn({ url }: Response): string {
  return /\/v2\/(.+)\/tags\/list/.exec(new URL(url).pathname)?.[1] ?? '';
}

async function expectPushed(ask: Ask, blob: Blob, push: (blob: Blob) => Promise<Response>): Promise<void> {
  const answer = await push(blob);
  assert.equal(answer.status, 201);
  assert.ok(answer.headers.get('location'));
  const found = await ask(`blobs/${blob.digest}`);
  assert.equal(found.status, 200);
  assert.ok(Buffer.from(await found.arrayBuffer()).equals(blob.bytes));
}

async function expectError(answer: Response, status: number, code: string): Promise<void> {
  assert.equal(answer.status, status);
  assert.equal(await codeOf(answer), code);
}

async function codeOf(answer: Response): Promise<string | undefined> {
  const { errors } = (await answer.json()) as { errors: { code: string }[] };
  return errors[0]?.code;
}
