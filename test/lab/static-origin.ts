import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, sha256 } from '@drayage/core';
import type { Document } from './images.ts';

/** A registry in memory, for tests that need more blobs or more speed than a real one has. Every repository has every blob. */
export interface StaticOrigin extends AsyncDisposable {
  readonly url: string;
  add(bytes: Buffer): Digest;
  addManifest(tag: string, document: Document): void;
  /** Drops a blob's bytes. */
  remove(digest: Digest): void;
  /** Shared by all answers; undefined is as fast as can be. */
  bytesPerSecond: number | undefined;
  /** Bytes of blobs that were sent. */
  readonly bytes: number;
  /** How many times blobs were asked for with GET. */
  readonly gets: number;
}

const CHUNK_BYTES = 64 * 1024;

/** Starts it on the given port of loopback, or any. */
export async function startStaticOrigin(port = 0): Promise<StaticOrigin> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Document>();
  const counts = { bytes: 0, gets: 0, freeAt: 0 };
  const server = createServer((request, response) => {
    const [, kind, reference = ''] = /^\/v2\/.+\/(blobs|manifests)\/([^/]+)$/.exec(request.url ?? '') ?? [];
    const document = manifests.get(reference);
    const blob = blobs.get(reference);
    if (request.url === '/v2/') response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    else if (kind === 'manifests' && document) sendDocument(request, response, document);
    else if (kind === 'blobs' && blob) sendBlob(request, response, blob).catch(() => response.destroy());
    else {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(`{"errors":[{"code":"${kind === 'manifests' ? 'MANIFEST' : 'BLOB'}_UNKNOWN","message":"unknown"}]}`);
    }
  });
  server.requestTimeout = 0;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  async function sendBlob(request: IncomingMessage, response: ServerResponse, blob: Buffer): Promise<void> {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to) + 1, blob.length) : blob.length;
    const headers: Record<string, string | number> = {
      'content-type': 'application/octet-stream',
      'content-length': end - start,
      'accept-ranges': 'bytes',
    };
    if (from !== undefined) headers['content-range'] = `bytes ${start}-${end - 1}/${blob.length}`;
    response.writeHead(from === undefined ? 200 : 206, headers);
    if (request.method === 'HEAD') return void response.end();
    counts.gets += 1;
    for (let at = start; at < end && !response.destroyed; at += CHUNK_BYTES) {
      const chunk = blob.subarray(at, Math.min(at + CHUNK_BYTES, end));
      await pace(chunk.length);
      counts.bytes += chunk.length;
      if (!response.write(chunk)) await drained(response);
    }
    response.end();
  }

  async function pace(bytes: number): Promise<void> {
    if (origin.bytesPerSecond === undefined) return;
    const from = Math.max(performance.now(), counts.freeAt);
    counts.freeAt = from + (bytes / origin.bytesPerSecond) * 1000;
    const wait = from - performance.now();
    if (wait > 1) await sleep(wait);
  }

  const origin: StaticOrigin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (bytes) => {
      const digest = sha256(bytes);
      blobs.set(digest, bytes);
      return digest;
    },
    addManifest: (tag, document) => {
      manifests.set(tag, document).set(document.digest, document);
    },
    remove: (digest) => void blobs.delete(digest),
    bytesPerSecond: undefined,
    get bytes() {
      return counts.bytes;
    },
    get gets() {
      return counts.gets;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return origin;
}

/** Resolves when the response takes more, or never will. */
export function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}

function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, mediaType, digest }: Document,
): void {
  response.writeHead(200, {
    'content-type': mediaType,
    'content-length': bytes.length,
    'docker-content-digest': digest,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
