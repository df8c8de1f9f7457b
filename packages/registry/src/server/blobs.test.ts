import { Failure, type OpenBlob, sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { addImage, openBlob, startLab } from './fake-parts.ts';

const LAYER = Buffer.from('0123456789'.repeat(10));

async function startWithLayer() {
  const lab = await startLab();
  const image = addImage(lab.hub, 'library/app', '1', LAYER);
  await (await fetch(`${lab.base}/v2/library/app/manifests/1`)).arrayBuffer();
  return { lab, url: `${lab.base}/v2/library/app/blobs/${image.layer}`, ...image };
}

test('a blob comes with the headers that every client reads', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000',
    'content-length': '100',
    'content-type': 'application/octet-stream',
    'docker-content-digest': layer,
    'docker-distribution-api-version': 'registry/2.0',
    'drayage-source': 'origin',
    etag: `"${layer}"`,
  });
  expect(answer.headers.has('content-encoding')).toBe(false);
  expect(answer.headers.has('access-control-allow-origin')).toBe(false);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(LAYER);
  expect(lab.disposed).toEqual([layer]);
});

test('a manifest that was seen makes its blobs known without further questions', async () => {
  const { lab, url } = await startWithLayer();
  await using _ = lab;
  lab.hub.asked.length = 0;
  await (await fetch(url)).arrayBuffer();
  expect(lab.hub.asked.filter((asked) => !asked.includes(' read '))).toEqual([]);
});

test('the source is named once the first bytes are here, and left out when it is not known even then', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  let source: OpenBlob['source'];
  const blobFrom = (place: OpenBlob['source']) => () => ({
    ...openBlob(LAYER, undefined),
    get source() {
      return source;
    },
    read: async (into: Buffer, offset: number) => {
      source = place;
      return LAYER.copy(into, 0, offset);
    },
  });
  lab.scripted.set(layer, blobFrom(undefined));
  const unknown = await fetch(url);
  expect([unknown.status, unknown.headers.has('drayage-source')]).toEqual([200, false]);
  await unknown.arrayBuffer();
  lab.scripted.set(layer, blobFrom('peer'));
  const known = await fetch(url);
  expect(known.headers.get('drayage-source')).toBe('peer');
  expect(Buffer.from(await known.arrayBuffer())).toEqual(LAYER);
});

test('HEAD of a blob tells its size without fetching it', async () => {
  const { lab, url } = await startWithLayer();
  await using _ = lab;
  const answer = await fetch(url, { method: 'HEAD', headers: { range: 'bytes=0-1' } });
  expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '100']);
  expect(lab.hub.asked.some((asked) => asked.includes(' read '))).toBe(false);
});

test.each([
  ['bytes=0-', 206, 'bytes 0-99/100', 100],
  ['bytes=10-19', 206, 'bytes 10-19/100', 10],
  ['bytes=-5', 206, 'bytes 95-99/100', 5],
  ['bytes=99-', 206, 'bytes 99-99/100', 1],
  ['bytes=50-5000', 206, 'bytes 50-99/100', 50],
  ['bytes=0-1,4-5', 200, null, 100],
  ['nonsense', 200, null, 100],
])('the range %s is answered with %i', async (range, status, contentRange, length) => {
  const { lab, url } = await startWithLayer();
  await using _ = lab;
  const answer = await fetch(url, { headers: { range } });
  const body = Buffer.from(await answer.arrayBuffer());
  expect([answer.status, answer.headers.get('content-range'), body.length]).toEqual([status, contentRange, length]);
  expect(answer.headers.get('content-length')).toBe(String(length));
  const start = Number(/(\d+)-/.exec(contentRange ?? '')?.[1] ?? 0);
  expect(body).toEqual(LAYER.subarray(start, start + length));
});

test('a range past the end is refused with the size, and the blob is let go', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  const answer = await fetch(url, { headers: { range: 'bytes=100-' } });
  expect([answer.status, answer.headers.get('content-range')]).toEqual([416, 'bytes */100']);
  expect(answer.headers.get('content-length')).toBe(String((await answer.text()).length));
  expect(lab.disposed).toEqual([layer]);
});

test('a range that depends on another version gets the whole blob', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  const statusOf = async (ifRange: string) =>
    (await fetch(url, { headers: { range: 'bytes=1-2', 'if-range': ifRange } })).status;
  expect([await statusOf('"other"'), await statusOf(`"${layer}"`)]).toEqual([200, 206]);
});

test('an empty blob is an answer like any other', async () => {
  await using lab = await startLab();
  const { layer } = addImage(lab.hub, 'library/app', '1', Buffer.alloc(0));
  const answer = await fetch(`${lab.base}/v2/library/app/blobs/${layer}`);
  expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '0', '']);
});

test('a blob is never answered with a server error', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  const failures: Error[] = [
    new Failure('origin_unavailable', 'gone'),
    new Failure('blob_corrupt', 'bad'),
    new Failure('disk_failed', 'io'),
    new TypeError('a bug'),
  ];
  for (const failure of failures) {
    lab.scripted.set(layer, () => openBlob(LAYER, 'peer', { read: () => Promise.reject(failure) }));
    const answer = await fetch(url);
    expect(answer.status).toBe(404);
    expect(answer.headers.has('drayage-source')).toBe(false);
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'BLOB_UNKNOWN' }] });
  }
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'error', problem: 'a bug' }));
  expect(lab.happenings).toContainEqual(expect.objectContaining({ kind: 'masked', origin: 'docker.io' }));
});

test('a blob the origin does not have is unknown', async () => {
  const { lab } = await startWithLayer();
  await using _ = lab;
  const answer = await fetch(`${lab.base}/v2/library/app/blobs/${sha256(Buffer.from('none'))}`);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ errors: [{ code: 'BLOB_UNKNOWN' }] });
});

test('each request is reported with what became of it', async () => {
  const { lab, url, layer } = await startWithLayer();
  await using _ = lab;
  await (await fetch(url)).arrayBuffer();
  expect(lab.happenings).toContainEqual({ kind: 'served', to: 'client', source: 'origin', bytes: 100 });
  expect(lab.happenings.at(-1)).toEqual({
    kind: 'request',
    what: 'blob',
    method: 'GET',
    target: `docker.io/library/app@${layer}`,
    code: 200,
    seconds: expect.any(Number),
    firstByteSeconds: expect.any(Number),
    source: 'origin',
    bytes: 100,
    problem: undefined,
  });
});
