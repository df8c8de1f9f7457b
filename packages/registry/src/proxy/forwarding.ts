import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Forwarder } from '../origin/forward.ts';
import type { ForwardProgress } from '../server/visit.ts';

export interface Forwarding extends ForwardProgress {
  readonly forwarder: Forwarder;
  /** The request's path with its query, as it came. */
  readonly path: string;
  /** What the client calls the server: `https://registry.example.com`. */
  readonly calledAs: string;
}

/** A client that neither sends nor takes a byte for this long is cut off. */
const CLIENT_IDLE_MS = 10 * 60_000;

/** What concerns one connection and not the request on it. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Sends a request on and its answer back, both as streams. Once the headers are out, a failure leaves the body short. Throws
 * when there is no answer; then nothing was sent, but the request's body may have been read.
 */
export async function forward(incoming: IncomingMessage, response: ServerResponse, how: Forwarding): Promise<void> {
  const { forwarder, path, signal, started, sent } = how;
  const headers = endToEnd(incoming.headersDistinct, incoming.headers.connection);
  response.setTimeout(CLIENT_IDLE_MS, () => response.destroy());
  if (/100-continue/i.test(incoming.headers.expect ?? '')) response.writeContinue();
  const body = bodyOf(incoming, sent);
  const answer = await forwarder.send({ method: incoming.method ?? '', path, headers, body }, signal);
  try {
    const back = endToEnd(answer.headers, headerText(answer.headers['connection']));
    const location = headerText(answer.headers['location']);
    if (location !== undefined) back['location'] = asClientSees(location, forwarder.url, how.calledAs);
    // What was not read of the request would be taken for the next one.
    if (!incoming.complete) back['connection'] = 'close';
    response.writeHead(answer.status, back);
    started();
    answer.body.on('data', ({ length }: Buffer) => sent(length));
    await pipeline(answer.body, response, { signal });
  } finally {
    answer.body.destroy();
  }
}

/** Undefined when the request has none. To be let go of early must not end the client's connection. */
function bodyOf(incoming: IncomingMessage, sent: (bytes: number) => void): Readable | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = incoming.headers;
  if (encoding === undefined && (length === undefined || length === '0')) return undefined;
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      sent(chunk.length);
      yield chunk;
    }
  }
  return Readable.from(chunks(), { objectMode: false });
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The headers that travel on: all but those of this connection. */
function endToEnd(headers: Headers, connection: string | undefined): Record<string, string | string[]> {
  const named = (connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.includes(name)) continue;
    kept[name] = Array.isArray(value) && value.length === 1 ? (value[0] ?? '') : value;
  }
  return kept;
}

/**
 * A server that is called by another name than its clients use sends them to that name. Clients keep their credential to
 * themselves there, and may not reach it.
 */
function asClientSees(location: string, server: URL, calledAs: string): string {
  const url = URL.parse(location);
  if (url?.origin !== server.origin || server.origin === calledAs) return location;
  return `${url.pathname}${url.search}`;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
