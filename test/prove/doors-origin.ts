import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const HOME = '127.0.0.1';
/** Another host, as far as anybody can tell who goes by names and addresses. */
const ELSEWHERE = '127.0.0.2';
const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** A server that keeps all it is sent. */
export interface Canary extends AsyncDisposable {
  readonly host: string;
  /** Whatever came, as text: request lines, headers and bodies. */
  readonly heard: readonly string[];
}

export async function startCanary(): Promise<Canary> {
  const heard: string[] = [];
  const { server, host } = await listen(ELSEWHERE, (request, response, body) => {
    heard.push(`${request.method} ${request.url}\n${request.rawHeaders.join('\n')}\n${body}`);
    const isToken = request.url?.startsWith('/token');
    response.writeHead(isToken ? 200 : 401, {
      'www-authenticate': 'Basic realm="canary"',
      'content-type': 'application/json',
    });
    response.end(isToken ? '{"token":"stolen"}' : '{}');
  });
  return { host, heard, [Symbol.asyncDispose]: () => close(server) };
}

/** How an origin tries to get a credential to somewhere else. */
export interface Door {
  readonly name: string;
  readonly url: string;
}

type Answer = (asked: Asked, response: ServerResponse) => void;

interface Asked {
  readonly request: IncomingMessage;
  readonly own: string;
  readonly canary: string;
}

const challenge =
  (...words: readonly string[]): Answer =>
  (_, response) =>
    refuse(response, words);
const bearer = (realm: string) => `Bearer realm="${realm}",service="door"`;

/** Asks for tokens of its own service, and behind that does as it is told. */
function behindToken(then: Answer): Answer {
  return (asked, response) => {
    const { request, own } = asked;
    if (request.url?.startsWith('/token')) json(response, 200, { token: 'good', expires_in: 300 });
    else if (request.headers.authorization === undefined) refuse(response, [bearer(`http://${own}/token`)]);
    else if (request.url === '/v2/') json(response, 200, {});
    else then(asked, response);
  };
}

const DOORS: Readonly<Record<string, (canary: string) => Answer>> = {
  'foreign-realm': (canary) => challenge(bearer(`http://${canary}/token`)),
  'foreign-realm-https': (canary) => challenge(bearer(`https://${canary}/token`)),
  'second-header': (canary) => challenge('Bearer realm="', bearer(`http://${canary}/token`)),
  userinfo: (canary) => challenge(bearer(`http://${HOME}@${canary}/token`)),
  'userinfo-own': () => (asked, response) => refuse(response, [bearer(`http://x:y@${asked.own}/token`)]),
  redirect: (canary) => behindToken((_, response) => redirect(response, `http://${canary}/blob`)),
  chain: (canary) =>
    behindToken(({ request, own }, response) =>
      redirect(response, request.url?.endsWith('again') ? `http://${canary}/blob` : `http://${own}/v2/again`),
    ),
  'redirect-userinfo': (canary) => behindToken((_, response) => redirect(response, `http://x:y@${canary}/blob`)),
  'token-redirect': (canary) => (asked, response) => {
    if (asked.request.url?.startsWith('/token')) redirect(response, `http://${canary}/token`);
    else refuse(response, [bearer(`http://${asked.own}/token`)]);
  },
  'retry-after-401': (canary) => behindToken((_, response) => refuse(response, [bearer(`http://${canary}/token`)])),
  'basic-redirect': (canary) => (asked, response) => {
    if (asked.request.headers.authorization === undefined) refuse(response, ['Basic realm="door"']);
    else redirect(response, `http://${canary}/v2/`);
  },
  link: (canary) =>
    behindToken((_, response) => {
      const next = { link: `<http://${canary}/v2/team/app/tags/list?last=a>; rel="next"` };
      json(response, 200, { name: 'team/app', tags: ['a'] }, next);
    }),
  location: (canary) =>
    behindToken((_, response) =>
      json(response, 200, {}, { location: `http://${canary}/`, 'content-location': `http://${canary}/` }),
    ),
  urls: (canary) => behindToken((asked, response) => manifest(asked, response, canary)),
};

/** Opens every door, each a registry of its own. */
export async function openDoors(canary: string): Promise<{ readonly doors: readonly Door[] } & AsyncDisposable> {
  await using parts = new AsyncDisposableStack();
  const doors: Door[] = [];
  for (const [name, make] of Object.entries(DOORS)) {
    const answer = make(canary);
    const { server, host } = await listen(HOME, (request, response) =>
      answer({ request, own: host, canary }, response),
    );
    parts.defer(() => close(server));
    doors.push({ name, url: `http://${host}` });
  }
  const open = parts.move();
  return { doors, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

function manifest({ request }: Asked, response: ServerResponse, canary: string): void {
  if (!request.url?.includes('/manifests/')) {
    json(response, 404, {});
    return;
  }
  const layer = { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: DIGEST, size: 4 };
  const config = { mediaType: 'application/json', digest: DIGEST, size: 4 };
  const content = {
    schemaVersion: 2,
    mediaType: IMAGE_TYPE,
    config,
    layers: [{ ...layer, urls: [`http://${canary}/layer`] }],
  };
  json(response, 200, content, { 'content-type': IMAGE_TYPE });
}

function refuse(response: ServerResponse, words: readonly string[]): void {
  response.writeHead(401, { 'www-authenticate': [...words], 'content-type': 'application/json' });
  response.end('{}');
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(307, { location });
  response.end();
}

function json(
  response: ServerResponse,
  status: number,
  content: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = JSON.stringify(content);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

type Listener = (request: IncomingMessage, response: ServerResponse, body: string) => void;

async function listen(address: string, answer: Listener) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    answer(request, response, Buffer.concat(chunks).toString('latin1'));
  });
  // What is sent to a proxy, and what is no HTTP, counts as well.
  server.on('connect', (request, socket) => {
    const unheard = { writeHead() {}, end() {} };
    answer(request, unheard as unknown as ServerResponse, 'CONNECT'); // Node makes none for CONNECT: what is said goes nowhere
    socket.destroy();
  });
  server.listen(0, address);
  await once(server, 'listening');
  return { server, host: `${address}:${(server.address() as AddressInfo).port}` };
}

async function close(server: ReturnType<typeof createServer>): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
