import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { isFailure, type Report } from '@drayage/core';
import { Agent, Pool } from 'undici';
import { guardedConnector, permitsForeign, permitsOwn } from './address.ts';
import { startClock } from './answer-clock.ts';
import { type Breaker, breakerFor, type Outcome } from './breaker.ts';
import { type BulkAnswer, type BulkParts, bulkGet } from './bulk.ts';
import { unavailable } from './refusal.ts';

const CONNECTIONS_MAX = 64;
const FOREIGN_HOSTS_MAX = 32;
const WAITING_MAX = 1024;
/** Besides the others: bodies on their way to the origin, and what belongs to them. */
const PUSHES_MAX = 32;
const headersWaitMs = 10_000;
const bodyIdleMs = 10_000;
/** Queueing, connecting and waiting for headers together. */
const answerWaitMs = 15_000;
/** The same for a push, without the time in which its body moves: many registries copy a layer before they answer. */
const pushWaitMs = 300_000;

export interface Outgoing {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** One that comes in chunks can be sent only once. */
  readonly body?: string | Buffer | AsyncIterable<Uint8Array>;
  /** A client pushes: what is asked may take long, and must not keep others from their connections. */
  readonly push?: boolean;
  /** A large body is expected: it may come through reused memory, each chunk good until the next is asked for. */
  readonly bulk?: boolean;
}

export interface AnswerBody extends AsyncIterable<Uint8Array> {
  destroy(): void;
  /** Reads on to the end, or gives up. */
  dump(options: { readonly limit: number; readonly signal: AbortSignal }): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: AnswerBody;
  readonly url: URL;
  /** It came from another host, port or scheme than the origin's. */
  readonly foreign: boolean;
}

/** The connections to one origin and to the hosts it refers to. */
export interface Line extends AsyncDisposable {
  readonly origin: string;
  readonly url: URL;
  readonly breaker: Breaker;
  /** One HTTP exchange, nothing followed or repeated. Throws `origin_unavailable` at once while the breaker is open. */
  send(request: Outgoing, signal: AbortSignal): Promise<Answer>;
}

interface LineParts {
  readonly origin: string;
  readonly url: URL;
  readonly version: string;
  readonly lookup: LookupFunction;
  /** The authorities to trust, asked for at the first TLS connection. */
  readonly trust: () => SecureContext;
  readonly now: () => number;
  readonly report: Report;
}

/** Opens connections when they are needed, at most 64 to a host, and keeps score of how the origin does. */
export function startLine(parts: LineParts): Line {
  const { origin, url, now, report } = parts;
  const connections = connectionsOf(parts);
  const breaker = breakerFor(origin, now, report);
  let waiting = 0;

  function outcomeOf(error: unknown, signal: AbortSignal): Outcome {
    if (!signal.aborted) return isFailure(error) ? 'unknown' : 'failed';
    // A deadline that passed while requests queue for a connection says more about our own haste than about the origin.
    return isDeadline(signal.reason) && connections.queued() === 0 ? 'failed' : 'unknown';
  }

  async function send(request: Outgoing, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    if (waiting >= WAITING_MAX) throw unavailable(origin, `is asked too much at once (${WAITING_MAX} requests wait)`);
    const settle = breaker.admit();
    if (!settle) throw unavailable(origin, 'failed several times running and is left alone for a moment');
    const startedAt = now();
    const tell = (code: number | 'failed') =>
      report({ kind: 'origin_request', origin, code, seconds: (now() - startedAt) / 1000 });
    const late = new AbortController();
    const waitMs = request.push ? pushWaitMs : answerWaitMs;
    const clock = startClock(waitMs, () => late.abort(unavailable(origin, `took over ${waitMs} ms to answer`)));
    waiting += 1;
    const either = AbortSignal.any([signal, late.signal]);
    const { body } = request;
    try {
      const answer = await connections.exchange(
        isOnce(body) ? { ...request, body: clock.around(body) } : request,
        either,
      );
      // What it cannot do with a push says nothing of what it can give to those who pull.
      settle(answer.status < 500 ? 'answered' : request.push ? 'unknown' : 'failed');
      tell(answer.status);
      return answer;
    } catch (error) {
      settle(outcomeOf(error, either));
      tell('failed');
      throw error;
    } finally {
      waiting -= 1;
      clock.stop();
    }
  }

  return { origin, url, breaker, send, [Symbol.asyncDispose]: () => connections.destroy() };
}

/** Whether a body is used up by being sent. */
export function isOnce(body: Outgoing['body']): body is AsyncIterable<Uint8Array> {
  return body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body);
}

/** Whoever gives up on an origin says so; a client that goes away says nothing about it. */
function isDeadline(reason: unknown): boolean {
  return (reason instanceof Error && reason.name === 'TimeoutError') || isFailure(reason, 'origin_unavailable');
}

function streamOf(body: AsyncIterable<Uint8Array>): Readable {
  const stream = Readable.from(body, { objectMode: false });
  // The request fails with it; a body that is let go of after that must not fail into nowhere.
  stream.on('error', () => undefined);
  return stream;
}

interface Connections {
  exchange(request: Outgoing, signal: AbortSignal): Promise<Answer>;
  /** Requests to the origin itself that have no connection yet. */
  queued(): number;
  destroy(): Promise<void>;
}

function connectionsOf({ origin, url, version, lookup, trust }: LineParts): Connections {
  const guard = { origin, host: url.hostname.replace(/^\[|\]$/g, ''), lookup, trust };
  const limits = {
    connections: CONNECTIONS_MAX,
    allowH2: false,
    headersTimeout: headersWaitMs,
    bodyTimeout: bodyIdleMs,
  };
  const atHome = { ...limits, connect: guardedConnector(guard, permitsOwn()) };
  const own = new Pool(url.origin, atHome);
  const pushes = new Pool(url.origin, { ...atHome, connections: PUSHES_MAX });
  const connect = guardedConnector(guard, permitsForeign(guard));
  const foreign = new Agent({ ...limits, maxOrigins: FOREIGN_HOSTS_MAX, connect });
  let bulks = 0;
  const spare: Buffer[] = [];

  /** Undefined when the full client has to do it. */
  async function viaBulk(request: Outgoing, isForeign: boolean, signal: AbortSignal): Promise<BulkAnswer | undefined> {
    if (!request.bulk || bulks >= CONNECTIONS_MAX) return undefined;
    const permits = isForeign ? permitsForeign(guard) : permitsOwn();
    bulks += 1;
    let isOpen = true;
    const closed = () => {
      if (isOpen) bulks -= 1;
      isOpen = false;
    };
    const parts: BulkParts = {
      ...request,
      origin,
      connector: (onread) => guardedConnector({ ...guard, onread }, permits),
      idleMs: bodyIdleMs,
      spare,
      closed,
    };
    try {
      return await bulkGet(parts, signal);
    } catch (error) {
      closed();
      throw error;
    }
  }

  async function viaPool(request: Outgoing, isForeign: boolean, signal: AbortSignal): Promise<BulkAnswer> {
    const pool = isForeign ? foreign : request.push ? pushes : own;
    const { statusCode, headers, body } = await pool.request({
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method,
      headers: request.headers,
      body: isOnce(request.body) ? streamOf(request.body) : (request.body ?? null),
      // They come after a body that may take hours; the line's own clock watches that.
      ...(request.push && { headersTimeout: 0 }),
      signal,
    });
    // Whoever reads the body learns of its failure; a body let go of must not fail into nowhere, which ends the process.
    body.on('error', () => {});
    return { status: statusCode, headers, body };
  }

  return {
    async exchange(asked, signal) {
      const isForeign = asked.url.origin !== url.origin;
      const ours = { 'user-agent': `drayage/${version}`, 'accept-encoding': 'identity' };
      const request = { ...asked, headers: { ...ours, ...asked.headers } };
      const answer = (await viaBulk(request, isForeign, signal)) ?? (await viaPool(request, isForeign, signal));
      return { ...answer, url: request.url, foreign: isForeign };
    },
    queued: () => own.stats.queued + pushes.stats.queued,
    async destroy() {
      await Promise.all([own.destroy(), pushes.destroy(), foreign.destroy()]);
    },
  };
}
