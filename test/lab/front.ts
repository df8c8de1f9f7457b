import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Certificate } from './certificates.ts';
import { drained } from './static-origin.ts';

/** What the front of the origin does to requests that match, until it is lifted. */
interface Fault {
  readonly path: RegExp;
  readonly door?: string;
  readonly method?: string;
  /** How often it strikes; always when absent. */
  times?: number;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Shared by all responses it slows. */
  readonly bytesPerSecond?: number;
  readonly cutAfterBytes?: number;
  readonly stallAfterBytes?: number;
  readonly corruptByteAt?: number;
  readonly hang?: boolean;
  /** Spares requests whose Authorization it takes. */
  readonly unlessAuthorized?: (authorization: string | undefined) => boolean;
}

/** One request as the origin saw it. */
interface Seen {
  readonly door: string;
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  status: number;
  bytes: number;
}

/** A way into the origin: the agent uses one, clients that fall back use others, so that they can be told apart. */
export interface Door {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly certificate?: Certificate;
}

interface Match {
  readonly door?: string;
  readonly path?: RegExp;
  readonly method?: string;
}

export interface Front extends AsyncDisposable {
  readonly seen: readonly Seen[];
  /** Bytes of answers sent, of blobs unless told otherwise. */
  bytes(match?: Match): number;
  /** How many requests matched. */
  count(match: Match): number;
  /** Puts a fault in place; disposing lifts it. */
  fault(fault: Fault): Disposable;
  forget(): void;
  /** Lifts every fault, opens every door, and forgets. */
  reset(): Promise<void>;
  /** Refuses connections at a door, and ends those that are open; opens again when disposed. */
  close(door: string): Promise<AsyncDisposable>;
}

const BLOBS = /\/blobs\//;
const CHUNK_BYTES = 64 * 1024;

/** Starts a registry front that counts and injects faults, before a registry that does neither. */
export async function startFront(doors: readonly Door[], upstreamPort: number): Promise<Front> {
  const seen: Seen[] = [];
  const faults = new Set<Fault>();
  const upstream = new Agent({ keepAlive: true });
  const servers = new Map<string, Server>();
  const open = async (door: Door) => {
    const listener: RequestListener = (request, response) => {
      const entry: Seen = {
        door: door.name,
        method: request.method ?? '',
        path: request.url ?? '',
        range: request.headers.range,
        authorization: request.headers.authorization,
        status: 0,
        bytes: 0,
      };
      seen.push(entry);
      const fault = strike(faults, entry);
      answer({ request, response, entry, fault, upstream, upstreamPort }).catch(() => response.destroy());
    };
    const server = door.certificate ? createTlsServer(door.certificate, listener) : createServer(listener);
    server.requestTimeout = 0;
    server.listen(door.port, door.host);
    await once(server, 'listening');
    servers.set(door.name, server);
  };
  for (const door of doors) await open(door);
  const shut = async (name: string) => {
    const server = servers.get(name);
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    servers.delete(name);
  };
  const reopen = async (name: string) => {
    const door = doors.find((candidate) => candidate.name === name);
    if (door && !servers.has(name)) await open(door);
  };
  const stop = async () => {
    for (const door of doors) await shut(door.name);
    upstream.destroy();
  };
  return {
    seen,
    bytes: (match = {}) => matching(seen, { path: BLOBS, ...match }).reduce((sum, entry) => sum + entry.bytes, 0),
    count: (match) => matching(seen, match).length,
    fault: (fault) => {
      faults.add(fault);
      return { [Symbol.dispose]: () => void faults.delete(fault) };
    },
    forget: () => void seen.splice(0),
    reset: async () => {
      faults.clear();
      for (const { name } of doors) await reopen(name);
      seen.splice(0);
    },
    close: async (name) => {
      await shut(name);
      return { [Symbol.asyncDispose]: () => reopen(name) };
    },
    [Symbol.asyncDispose]: stop,
  };
}

function matching(seen: readonly Seen[], { door, path, method }: Match): Seen[] {
  return seen.filter(
    (entry) =>
      (door === undefined || entry.door === door) &&
      (method === undefined || entry.method === method) &&
      (path === undefined || path.test(entry.path)),
  );
}

function strike(faults: ReadonlySet<Fault>, entry: Seen): Fault | undefined {
  for (const fault of faults) {
    if (fault.door !== undefined && fault.door !== entry.door) continue;
    if (fault.method !== undefined && fault.method !== entry.method) continue;
    if (!fault.path.test(entry.path) || fault.times === 0) continue;
    if (fault.unlessAuthorized?.(entry.authorization)) continue;
    if (fault.times !== undefined) fault.times -= 1;
    return fault;
  }
  return undefined;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly entry: Seen;
  readonly fault: Fault | undefined;
  readonly upstream: Agent;
  readonly upstreamPort: number;
}

async function answer({ request, response, entry, fault, upstream, upstreamPort }: Exchange): Promise<void> {
  if (fault?.hang) return;
  if (fault?.status !== undefined) {
    entry.status = fault.status;
    response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
    const code = fault.status === 401 ? 'UNAUTHORIZED' : 'UNKNOWN';
    response.end(JSON.stringify({ errors: [{ code, message: 'injected' }] }));
    return;
  }
  const outgoing = httpRequest({
    agent: upstream,
    host: '127.0.0.1',
    port: upstreamPort,
    method: request.method,
    path: request.url,
    headers: { ...request.headers, connection: 'keep-alive' },
  });
  response.once('close', () => outgoing.destroy());
  request.pipe(outgoing);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  entry.status = incoming.statusCode ?? 0;
  const { connection: _, ...headers } = incoming.headers;
  response.writeHead(entry.status, { ...headers, ...fault?.headers });
  response.flushHeaders();
  await relay(incoming, response, entry, fault);
}

const busyUntil = new WeakMap<Fault, number>();

async function relay(
  incoming: AsyncIterable<Buffer>,
  response: ServerResponse,
  entry: Seen,
  fault: Fault | undefined,
): Promise<void> {
  for await (const whole of incoming) {
    for (let at = 0; at < whole.length; at += CHUNK_BYTES) {
      let chunk = whole.subarray(at, at + CHUNK_BYTES);
      const limit = fault?.cutAfterBytes ?? fault?.stallAfterBytes;
      if (limit !== undefined) chunk = chunk.subarray(0, Math.max(0, limit - entry.bytes));
      if (fault?.corruptByteAt !== undefined) flip(chunk, fault.corruptByteAt - entry.bytes);
      if (fault?.bytesPerSecond !== undefined) await pace(fault, fault.bytesPerSecond, chunk.length);
      if (response.destroyed) return;
      entry.bytes += chunk.length;
      if (!response.write(chunk)) await drained(response);
      if (limit !== undefined && entry.bytes >= limit) {
        if (fault?.cutAfterBytes !== undefined) response.destroy();
        return;
      }
    }
  }
  response.end();
}

function flip(chunk: Buffer, at: number): void {
  const byte = chunk[at];
  if (byte !== undefined) chunk[at] = byte ^ 0xff;
}

async function pace(fault: Fault, bytesPerSecond: number, bytes: number): Promise<void> {
  const from = Math.max(performance.now(), busyUntil.get(fault) ?? 0);
  busyUntil.set(fault, from + (bytes / bytesPerSecond) * 1000);
  const wait = from - performance.now();
  if (wait > 1) await sleep(wait);
}
