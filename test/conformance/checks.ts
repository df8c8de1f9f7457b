import assert from 'node:assert/strict';
import type { Blob, Document } from '../lab/images.ts';
import { type Content, TAGGED_REPOSITORY, TAGS } from './content.ts';

/** Asks for a path below the repository, such as `manifests/v1`, or below another. */
export type Ask = (path: string, init?: RequestInit, repository?: string) => Promise<Response>;

export interface Check {
  readonly group: 'pull' | 'ranges' | 'errors' | 'discovery' | 'push';
  readonly name: string;
  /** Throws when the answer is not what the specification says. */
  run(ask: Ask, content: Content, origin: Ask): Promise<void>;
}

const UNKNOWN = `sha256:${'0'.repeat(64)}`;
const ACCEPT = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** Every row: the read side of the distribution specification, by each kind of content. */
export function checksFor({ documents, blobs }: Content): readonly Check[] {
  return [...Object.keys(documents).flatMap(documentChecks), ...Object.keys(blobs).flatMap(blobChecks), ...CHECKS];
}

function documentChecks(kind: string): Check[] {
  const of = (content: Content) => content.documents[kind] as Document;
  return ['HEAD', 'GET'].map((method) => ({
    group: 'pull',
    name: `${method} ${kind} by digest`,
    run: async (ask, content) => {
      const document = of(content);
      await expectDocument(
        await ask(`manifests/${document.digest}`, { method, headers: { accept: ACCEPT } }),
        document,
      );
    },
  }));
}

function blobChecks(kind: string): Check[] {
  return ['HEAD', 'GET'].map((method) => ({
    group: 'pull',
    name: `${method} ${kind} blob`,
    run: async (ask, content) => {
      const blob = content.blobs[kind] as Blob;
      await expectBlob(await ask(`blobs/${blob.digest}`, { method }), blob);
    },
  }));
}

const CHECKS: readonly Check[] = [
  ...['HEAD', 'GET'].map(
    (method): Check => ({
      group: 'pull',
      name: `${method} manifest by tag`,
      run: async (ask, { image }) => {
        await expectDocument(await ask('manifests/v1', { method, headers: { accept: ACCEPT } }), image.top);
      },
    }),
  ),
  {
    group: 'pull',
    name: 'GET blob named by SHA-512',
    run: async (ask, { sha512 }) => {
      assert.ok(sha512, 'the origin takes no SHA-512');
      const answer = await ask(`blobs/${sha512.digest}`);
      assert.equal(answer.status, 200);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(sha512.bytes));
    },
  },
  range('bytes=0-', (bytes) => [0, bytes]),
  range('bytes=10-19', () => [10, 20]),
  range('bytes=-7', (bytes) => [bytes - 7, bytes]),
  {
    group: 'ranges',
    name: 'a range past the end is 416',
    run: async (ask, { blobs }) => {
      const { digest, bytes } = blobs['layer'] as Blob;
      // The body of docker-registry's own 416 is shorter than it claims, so it is left unread.
      const answer = await ask(`blobs/${digest}`, { headers: { range: `bytes=${bytes.length}-` } });
      await answer.body?.cancel();
      assert.equal(answer.status, 416);
    },
  },
  ...['manifests/nothing', `manifests/${UNKNOWN}`].map((path) => unknown(path, 'MANIFEST_UNKNOWN')),
  unknown(`blobs/${UNKNOWN}`, 'BLOB_UNKNOWN'),
  {
    group: 'errors',
    name: 'a malformed digest is refused',
    run: async (ask) => {
      const answer = await ask('blobs/sha256:totallywrong');
      assert.ok([400, 404].includes(answer.status));
      await answer.arrayBuffer();
    },
  },
  {
    group: 'errors',
    name: 'a tag out of grammar is refused',
    run: async (ask) => {
      const answer = await ask('manifests/.INVALID_MANIFEST_NAME');
      assert.ok([400, 404].includes(answer.status));
      await answer.arrayBuffer();
    },
  },
  {
    group: 'discovery',
    name: 'tags/list lists every tag in order',
    run: async (ask) => {
      const { status, tags } = await listTags(ask, 'tags/list');
      assert.equal(status, 200);
      assert.deepEqual(tags, TAGS);
    },
  },
  {
    group: 'discovery',
    name: 'tags/list?n= ends after n, and links to the rest',
    run: async (ask) => {
      const { status, tags, link } = await listTags(ask, 'tags/list?n=2');
      assert.equal(status, 200);
      assert.deepEqual(tags, TAGS.slice(0, 2));
      assert.match(link ?? '', /^<.*last=beta.*>; *rel="?next"?/);
    },
  },
  {
    group: 'discovery',
    name: 'tags/list?n=&last= goes on after last',
    run: async (ask) => {
      const { status, tags } = await listTags(ask, 'tags/list?n=1&last=alpha');
      assert.equal(status, 200);
      assert.deepEqual(tags, ['beta']);
    },
  },
  {
    group: 'discovery',
    name: 'the link of tags/list can be followed',
    run: async (ask) => {
      const { link } = await listTags(ask, 'tags/list?n=2');
      const next = /tags\/list\?[^>]*/.exec(link ?? '')?.[0];
      assert.ok(next);
      const { tags } = await listTags(ask, next);
      assert.equal(tags[0], 'delta');
    },
  },
  ...['', '?n=2', '?n=0', '?n=2&last=beta', '?last=zeta'].map(
    (query): Check => ({
      group: 'discovery',
      name: `tags/list${query} is what the origin says`,
      run: async (ask, _content, origin) => {
        const [ours, theirs] = [
          await ask(`tags/list${query}`, {}, TAGGED_REPOSITORY),
          await origin(`tags/list${query}`, {}, TAGGED_REPOSITORY),
        ];
        assert.equal(ours.status, theirs.status);
        const tagsOf = async (answer: Response) => ((await answer.json()) as { tags?: string[] }).tags;
        assert.deepEqual(await tagsOf(ours), await tagsOf(theirs));
        assert.equal(ours.headers.has('link'), theirs.headers.has('link'));
      },
    }),
  ),
  {
    group: 'discovery',
    name: 'referrers are listed, or are a 404 with their index under the fallback tag',
    run: async (ask, { referrers }) => {
      const listed = await referrersOf(ask, referrers.subject, '');
      assert.ok(listed.includes(referrers.signature));
      assert.equal(listed.length, 2);
    },
  },
  {
    group: 'discovery',
    name: 'referrers of one artifact type: filtered, or filtered by the client',
    run: async (ask, { referrers }) => {
      const type = 'application/vnd.example.signature';
      assert.deepEqual(await referrersOf(ask, referrers.subject, type), [referrers.signature]);
    },
  },
];

function range(header: string, expected: (bytes: number) => [number, number]): Check {
  return {
    group: 'ranges',
    name: `Range: ${header}`,
    run: async (ask, { blobs }) => {
      const { digest, bytes } = blobs['layer'] as Blob;
      const [start, end] = expected(bytes.length);
      const answer = await ask(`blobs/${digest}`, { headers: { range: header } });
      assert.equal(answer.status, 206);
      assert.equal(answer.headers.get('content-range'), `bytes ${start}-${end - 1}/${bytes.length}`);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(start, end)));
    },
  };
}

function unknown(path: string, code: string): Check {
  return {
    group: 'errors',
    name: `${path.replace(UNKNOWN, '<unknown>')} is 404 ${code}, by GET and HEAD`,
    run: async (ask) => {
      const answer = await ask(path, { headers: { accept: ACCEPT } });
      assert.equal(answer.status, 404);
      const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] };
      assert.equal(errors[0]?.code, code);
      assert.equal(typeof errors[0]?.message, 'string');
      assert.equal((await ask(path, { method: 'HEAD' })).status, 404);
    },
  };
}

async function expectDocument(answer: Response, { mediaType, digest, bytes }: Document): Promise<void> {
  assert.equal(answer.headers.get('content-type'), mediaType);
  await expectBytes(answer, digest, bytes);
}

async function expectBlob(answer: Response, { digest, bytes }: Blob): Promise<void> {
  await expectBytes(answer, digest, bytes);
}

async function expectBytes(answer: Response, digest: string, bytes: Buffer): Promise<void> {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('docker-content-digest'), digest);
  assert.equal(answer.headers.get('content-length'), `${bytes.length}`);
  const body = Buffer.from(await answer.arrayBuffer());
  assert.ok(body.length === 0 || body.equals(bytes));
}

async function listTags(ask: Ask, path: string): Promise<{ status: number; tags: string[]; link: string | null }> {
  const answer = await ask(path, {}, TAGGED_REPOSITORY);
  const { tags } = (await answer.json()) as { tags: string[] };
  return { status: answer.status, tags, link: answer.headers.get('link') };
}

/** As a client finds referrers: from the endpoint, else from the index under the tag made of the digest. */
async function referrersOf(ask: Ask, subject: string, artifactType: string): Promise<string[]> {
  const query = artifactType === '' ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
  const listed = await ask(`referrers/${subject}${query}`);
  const found =
    listed.status === 200
      ? listed
      : await ask(`manifests/${subject.replace(':', '-')}`, { headers: { accept: INDEX } });
  if (listed !== found) {
    assert.equal(listed.status, 404);
    await listed.arrayBuffer();
  }
  assert.equal(found.headers.get('content-type'), INDEX);
  const { manifests } = (await found.json()) as { manifests: { digest: string; artifactType: string }[] };
  return manifests
    .filter((entry) => artifactType === '' || entry.artifactType === artifactType)
    .map(({ digest }) => digest);
}
