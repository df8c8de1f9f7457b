import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A request as a server under the tests' control saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

export interface FakeServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly seen: readonly Seen[];
  connections(): number;
}

export type Handler = (request: Seen, response: ServerResponse, body: string) => void;

/** A server on a free port of this host that answers as told and remembers what it was asked. */
export async function startFakeServer(handle: Handler, scheme: 'http' | 'https' = 'http'): Promise<FakeServer> {
  const seen: Seen[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers, rawHeaders } = request;
    const one = { method, url, headers, rawHeaders };
    let body = '';
    request.on('data', (chunk) => {
      body += String(chunk);
    });
    request.on('end', () => {
      seen.push(one);
      handle(one, response, body);
    });
  };
  const server =
    scheme === 'http' ? createServer(listener) : createTlsServer({ key: KEY, cert: CERTIFICATE }, listener);
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `${scheme}://127.0.0.1:${port}`,
    seen,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** For the names registry.test, localhost and 127.0.0.1; good for nothing else. */
export const CERTIFICATE: string = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1yZWdpc3Ry
eS50ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA1yZWdpc3RyeS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJHR7
eCxfLvWjImNSiag5WHeRYk72ogGheuAAITavbe2D2fucMEp40EYzo6Gxycq0EYlO
hqLb66wrCA1/CGm6naNaMFgwDAYDVR0TBAUwAwEB/zApBgNVHREEIjAggg1yZWdp
c3RyeS50ZXN0gglsb2NhbGhvc3SHBH8AAAEwHQYDVR0OBBYEFFzukQ2F8pee80bZ
6rO2zt9gvN3WMAoGCCqGSM49BAMCA0gAMEUCIHcOmwCZx5xgtZxkyPSb7YCjPonk
VU5O9g2KXwtL5wLEAiEAz23AVFD7aepd5sSterIvVpWehP32kbEkxw0Di5jnRHk=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgO7e7PEtc48HE/fXG
597CUy4USVROW6BdwlZ8eC0ExwGhRANCAAQkdHt4LF8u9aMiY1KJqDlYd5FiTvai
AaF64AAhNq9t7YPZ+5wwSnjQRjOjobHJyrQRiU6GotvrrCsIDX8Iabqd
-----END PRIVATE KEY-----`;

/** An answer with the length a registry would send. */
export function reply(response: ServerResponse, status: number, body: string | Buffer, headers: object = {}): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
