import type { Readable } from 'node:stream';
import { type buildConnector, Pool } from 'undici';

/** A request that goes on as its client made it. */
interface Forwarded {
  readonly method: string;
  /** The path with its query, as it came. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Readable | undefined;
}

interface ForwardedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

/** Sends requests on to one server: each once, nothing followed, repeated or understood. */
export interface Forwarder extends AsyncDisposable {
  readonly url: URL;
  send(request: Forwarded, signal: AbortSignal): Promise<ForwardedAnswer>;
}

const CONNECTIONS_MAX = 128;
const HEADER_BYTES_MAX = 64 * 1024;
/** Registries may take minutes to put a large upload together before they answer. */
const headersWaitMs = 9 * 60_000;
const bodyIdleMs = 5 * 60_000;

export function startForwarder(url: URL, connect: buildConnector.connector): Forwarder {
  const pool = new Pool(url.origin, {
    connect,
    connections: CONNECTIONS_MAX,
    // A connection used again may just be closing, and a push cannot be sent twice.
    pipelining: 0,
    allowH2: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: headersWaitMs,
    bodyTimeout: bodyIdleMs,
  });
  return {
    url,
    async send({ method, path, headers, body }, signal) {
      const answer = await pool.request({
        // Any method may come; the type knows the usual ones.
        method: method as 'GET',
        path,
        headers: { ...headers, host: url.host },
        body: body ?? null,
        signal,
      });
      // Whoever reads the body learns of its failure; a body let go of must not fail into nowhere, which ends the process.
      answer.body.on('error', () => {});
      return { status: answer.statusCode, headers: answer.headers, body: answer.body };
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}
