import fc from 'fast-check';

/** One request as it goes onto the wire. */
export interface RawRequest {
  readonly bytes: Buffer;
}

export interface Known {
  readonly repositories: readonly string[];
  readonly tags: readonly string[];
  readonly digests: readonly string[];
}

const METHODS = [
  'GET',
  'GET',
  'GET',
  'HEAD',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'BREW',
];
const HOSTILE = [
  '..',
  '.',
  '%2e%2e',
  '%2e%2e%2f',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  '%0d%0aX: y',
  '\\',
  '//',
  '@',
  'a'.repeat(300),
  'A',
  '-',
  '_',
  '__',
  'é',
  '%ff',
  '%',
  '%zz',
  '~',
  ';',
  '*',
  '169.254.169.254',
  'localhost_22',
  '127.0.0.1',
  '[::1]',
  'sha256:',
  'sha256:zz',
  `sha256:${'0'.repeat(63)}`,
  `SHA256:${'0'.repeat(64)}`,
  `sha512:${'0'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
];
const HOSTS = [
  '127.0.0.1:5050',
  'localhost:5050',
  'evil.test',
  '',
  '127.0.0.1',
  '[::1]:5050',
  '169.254.169.254',
  'a b',
  '127.0.0.1:99999',
];
const RANGES = [
  'bytes=0-',
  'bytes=-1',
  'bytes=0-0',
  'bytes=5-2',
  'bytes=-',
  'bytes=a-b',
  'bytes=0-1,3-4',
  'bytes=99999999999999999999-',
  'bytes=-0',
  'items=0-1',
  'bytes = 0-1',
  'bytes=0-18446744073709551616',
  `bytes=${'0-0,'.repeat(500)}0-0`,
  '',
];
const PLAIN_HEADERS = [
  'Accept: */*',
  'Accept: application/json',
  `Accept: ${'x/y, '.repeat(200)}z/z`,
  'Accept: ;;;,,,',
  'If-None-Match: *',
  'Authorization: Bearer x.y.z',
  'Authorization: Basic !!!',
  'Authorization: ',
  'Expect: 100-continue',
  'Connection: close',
  'Accept-Encoding: gzip, br',
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'Upgrade: h2c',
  'Origin: http://evil.test',
  `X-Long: ${'y'.repeat(9000)}`,
  'Content-Type: application/vnd.oci.image.manifest.v1+json',
];

/** Requests that follow the grammar of the endpoint, more or less. */
export function builtRequest({ repositories, tags, digests }: Known): fc.Arbitrary<RawRequest> {
  const hostile = fc.constantFrom(...HOSTILE);
  const component = fc.oneof(hostile, fc.string({ maxLength: 20 }), fc.stringMatching(/^[a-z0-9._-]{1,12}$/));
  const name = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...repositories) },
    fc.array(component, { minLength: 0, maxLength: 5 }).map((parts) => parts.join('/')),
  );
  const reference = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...tags, ...digests) }, component);
  const kind = fc.constantFrom('manifests', 'blobs', 'blobs', 'tags', 'referrers', 'blobs/uploads', 'nonsense');
  const query = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    fc
      .record({ key: fc.constantFrom('ns', 'n', 'last', 'digest', 'mount', 'x'), value: component })
      .map(({ key, value }) => `?${key}=${value}`),
    fc.constant('?ns=docker.io'),
    fc.constant('?ns=docker.io&ns=registry.example.com'),
  );
  const path = fc.oneof(
    { weight: 10, arbitrary: fc.tuple(name, kind, reference, query).map(([n, k, r, q]) => `/v2/${n}/${k}/${r}${q}`) },
    fc.constantFrom(
      '/v2/',
      '/v2',
      '/',
      '/v1/_ping',
      '//v2/',
      '*',
      'http://evil.test/v2/',
      '/v2/_catalog',
      '/metrics',
      '/api/status',
    ),
    fc.string({ maxLength: 200 }).map((text) => `/${text}`),
  );
  const header = fc.oneof(
    fc.constantFrom(...PLAIN_HEADERS),
    fc.constantFrom(...RANGES).map((range) => `Range: ${range}`),
  );
  const parts = fc.record({
    method: fc.constantFrom(...METHODS),
    path,
    host: fc.oneof({ weight: 5, arbitrary: fc.constant('127.0.0.1:5050') }, fc.constantFrom(...HOSTS)),
    headers: fc.array(header, { maxLength: 4 }),
    body: fc.oneof({ weight: 4, arbitrary: fc.constant('') }, fc.string({ maxLength: 100 })),
  });
  return parts.map(({ method, path: target, host, headers, body }) => {
    const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers, '', body];
    return { bytes: Buffer.from(lines.join('\r\n'), 'utf8') };
  });
}

/** Valid requests with bytes changed, cut, doubled and thrown in. */
export function mutatedRequest(known: Known): fc.Arbitrary<RawRequest> {
  const change = fc.record({
    what: fc.constantFrom('flip', 'cut', 'double', 'insert', 'remove', 'newline', 'null'),
    at: fc.nat(2000),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  });
  return fc.tuple(builtRequest(known), fc.array(change, { minLength: 1, maxLength: 5 })).map(([request, changes]) => ({
    bytes: changes.reduce(mutate, request.bytes),
  }));
}

function mutate(from: Buffer, { what, at, bytes }: { what: string; at: number; bytes: Uint8Array }): Buffer {
  const place = at % (from.length + 1);
  const [head, rest] = [from.subarray(0, place), from.subarray(place)];
  switch (what) {
    case 'flip':
      return Buffer.concat([head, Buffer.from([(rest[0] ?? 0) ^ (bytes[0] ?? 1)]), rest.subarray(1)]);
    case 'cut':
      return head;
    case 'double':
      return Buffer.concat([from, rest]);
    case 'insert':
      return Buffer.concat([head, bytes, rest]);
    case 'remove':
      return Buffer.concat([head, rest.subarray(bytes.length)]);
    case 'newline':
      return Buffer.concat([head, Buffer.from('\r\n'), rest]);
    default:
      return Buffer.concat([head, Buffer.from([0]), rest]);
  }
}
