import { chmod, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { describe, isFailure } from '@drayage/core';
import { type FastifyInstance, fastify } from 'fastify';
import type { Registry } from 'prom-client';
import { type AdminAddress, formatAddress } from './address.ts';
import { type ApiParts, addApi } from './admin-api.ts';
import { adminGuard } from './admin-guard.ts';
import { formatChecks, type Readiness } from './readiness.ts';
import { eventStreams } from './sse.ts';

export interface AdminParts extends ApiParts {
  readonly address: AdminAddress;
  readonly metrics: Registry;
  readonly readiness: () => Readiness;
}

export interface Admin extends AsyncDisposable {
  /** Where it listens, the port filled in. */
  readonly address: AdminAddress;
}

const BODY_BYTES_MAX = 64 * 1024;
const REQUEST_MS = 30_000;
const HEADERS_MS = 10_000;
const CONNECTIONS_MAX = 256;
const PARAM_CHARS_MAX = 255;

/** Serves health, metrics and the API. Throws an error that names the address when it cannot listen. */
export async function startAdmin(parts: AdminParts): Promise<Admin> {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
    http: { headersTimeout: HEADERS_MS },
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  parseJsonOnly(app);
  const streams = eventStreams();
  addGuard(app, parts.address);
  addHealth(app, parts);
  addApi(app, streams, parts);
  await listen(app, parts.address);
  const bound = app.server.address();
  return {
    address: typeof bound === 'object' && bound !== null ? { host: bound.address, port: bound.port } : parts.address,
    [Symbol.asyncDispose]: async () => {
      streams[Symbol.dispose]();
      await app.close();
      if ('path' in parts.address) await rm(parts.address.path, { force: true });
    },
  };
}

/** Nothing is read as an empty object, so that a call without arguments needs no body. */
function parseJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, {});
    else void parse(request, body, done);
  });
}

function addGuard(app: FastifyInstance, address: AdminAddress): void {
  const refuse = adminGuard(address);
  app.addHook('onRequest', async ({ method, headers }, reply) => {
    const refusal = refuse({
      method,
      host: headers.host,
      origin: headers.origin,
      fetchSite: headers['sec-fetch-site'],
      contentType: headers['content-type'],
    });
    reply.header('X-Content-Type-Options', 'nosniff');
    if (refusal) return reply.code(refusal.status).send(errorBody('denied', refusal.why));
    return undefined;
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(errorBody('unsupported', 'there is no such page')));
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error);
    const code = isFailure(error) ? error.code : 'unsupported';
    return reply.code(status).send(errorBody(code, status === 500 ? 'internal error' : describe(error)));
  });
}

function addHealth(app: FastifyInstance, { metrics, readiness }: AdminParts): void {
  app.get('/livez', async (_request, reply) => reply.type('text/plain').send('alive\n'));
  app.get('/readyz', async (request, reply) => {
    const now = readiness();
    const isVerbose = Object.hasOwn(request.query as object, 'verbose');
    return reply
      .code(now.isReady ? 200 : 503)
      .type('text/plain')
      .send(formatChecks(now, isVerbose));
  });
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
}

function errorBody(code: string, message: string): object {
  return { error: { code, message } };
}

function statusOf(error: unknown): number {
  if (isFailure(error)) return STATUS_BY_CODE[error.code] ?? 502;
  const status = (error as { statusCode?: unknown }).statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  blob_unknown: 404,
  digest_invalid: 400,
  manifest_unknown: 404,
  name_invalid: 400,
  options_invalid: 400,
  unsupported: 409,
};

async function listen(app: FastifyInstance, address: AdminAddress): Promise<void> {
  try {
    if (!('path' in address)) {
      await app.listen(address);
      return;
    }
    if (await isLeftOver(address.path)) await rm(address.path, { force: true });
    await app.listen({ path: address.path });
    await chmod(address.path, 0o600);
  } catch (error) {
    throw new Error(`the admin API cannot listen on ${formatAddress(address)}`, { cause: error });
  }
}

/** A socket file nobody listens on is what a crash leaves behind. */
function isLeftOver(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
