import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurnOfTheLoop } from 'node:timers/promises';
import fastify, { type FastifyInstance } from 'fastify';
import { refusalBody } from './errors.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** One open port. */
export interface Listener {
  readonly address: Address;
  /** Accepts no more connections, and resolves when the last one has ended. */
  close(): Promise<void>;
  /** Ends all connections, answered or not, but those that were handed to `OnConnect`. */
  closeAll(): void;
  /** Takes a connection that was made in another way. */
  adopt(connection: Duplex): void;
}

/** Answers one request; `target` is the request target as it came. Never rejects. */
export type Handle = (incoming: IncomingMessage, response: ServerResponse, target: string) => Promise<void>;

/** Takes over a connection whose client asked for it to lead elsewhere. `head` is what came of it already. */
export type OnConnect = (incoming: IncomingMessage, connection: Socket, head: Buffer) => void;

const HEADER_BYTES_MAX = 64 * 1024;
const HEADERS_WAIT_MS = 10_000;
/** At the end, a connection on which nothing was asked is closed after this long. */
const SILENT_MS = 500;
const HEADERS_CHECK_MS = 2_000;
// Longer than any client keeps an idle connection, so that the client closes first and no request is lost.
const KEEP_ALIVE_MS = 125_000;
const CONNECTIONS_MAX = 4096;
const REFUSED: { readonly [code: string]: string } = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** One request among those of a connection. */
interface Turn {
  readonly before: Promise<void>;
  readonly over: Promise<void>;
  readonly incoming: IncomingMessage;
}

/** Resolves when the last request that can be read is over: of a body that is malformed nobody will see the end. */
async function readable({ before, over, incoming }: Turn): Promise<void> {
  if (incoming.complete) return await over;
  await before;
  // Whoever does not care for the body has answered by then.
  await nextTurnOfTheLoop();
}

/**
 * Opens a port for plain HTTP/1.1 and hands every request over as it came, one at a time per connection. Without
 * `onConnect`, a connection that is to lead elsewhere is closed.
 */
export async function openListener({ host, port }: Address, handle: Handle, onConnect?: OnConnect): Promise<Listener> {
  const turns = new WeakMap<Socket, Turn>();
  const ending = new WeakSet<Socket>();
  const app = fastify({
    bodyLimit: 1024,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: 0,
    return503OnClosing: false,
    forceCloseConnections: false,
    // The router is our own, and it wants the path undecoded.
    rewriteUrl: () => '/',
    clientErrorHandler(error, socket) {
      const turn = turns.get(socket);
      const asked = turn?.incoming;
      // Whoever reads its body would wait in vain for the rest.
      if (asked && !asked.complete && asked.listenerCount('error') > 0) asked.emit('error', error);
      if (!turn) refuseBytes(error.code, socket);
      // A refusal now would end up inside the body that is being sent.
      else if (!ending.has(socket)) void readable(turn).finally(() => socket.destroySoon());
      ending.add(socket);
    },
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_WAIT_MS,
      connectionsCheckingInterval: HEADERS_CHECK_MS,
      // Its answer would have no JSON body; `refusalByHost` does this.
      requireHostHeader: false,
    },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  // Whoever wants a body invites it.
  app.server.on('checkContinue', app.routing);
  app.server.on('checkExpectation', app.routing);
  app.addHook('onRequest', (request, reply, _done) => {
    reply.hijack();
    const { raw, originalUrl } = request;
    const { socket } = raw;
    const before = turns.get(socket)?.over ?? Promise.resolve();
    const over = before
      .then(() => handle(raw, reply.raw, originalUrl))
      .finally(() => {
        if (turns.get(socket)?.over === over) turns.delete(socket);
      });
    turns.set(socket, { before, over, incoming: raw });
  });
  app.setNotFoundHandler(() => undefined);
  const silent = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  app.server.prependListener('request', ({ socket }) => silent.delete(socket));
  if (onConnect) {
    app.server.on('connect', (incoming: IncomingMessage, connection: Socket, head: Buffer) => {
      silent.delete(connection);
      onConnect(incoming, connection, head);
    });
  }
  await app.listen({ host, port });
  return listenerOf(app, host, silent);
}

/** `silent` are the connections on which nothing was asked yet. */
function listenerOf(app: FastifyInstance, host: string, silent: ReadonlySet<Socket>): Listener {
  const { port } = app.server.address() as AddressInfo;
  return {
    address: { host, port },
    close: async () => {
      // Stops accepting at once, where fastify's own closing takes a few turns.
      const closed = new Promise<void>((resolve) => app.server.close(() => resolve()));
      // Whoever was about to ask may; whoever only opened a connection must not hold up the end.
      const impatience = setTimeout(() => {
        for (const socket of silent) socket.destroy();
      }, SILENT_MS);
      await closed.finally(() => clearTimeout(impatience));
      await app.close();
    },
    closeAll: () => app.server.closeAllConnections(),
    adopt: (connection) => void app.server.emit('connection', connection),
  };
}

/**
 * Answers bytes that are no HTTP request. A TLS greeting is one: clients send it first to every registry on localhost, and
 * some fall back to plain HTTP only when an HTTP answer comes.
 */
function refuseBytes(code: string, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = refusalBody('UNSUPPORTED', 'this is no HTTP request');
  const head = `HTTP/1.1 ${REFUSED[code] ?? '400 Bad Request'}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), body]), () => socket.destroy());
}
