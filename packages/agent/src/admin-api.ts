import { type Digest, describe, Failure, isFailure, parseDigest, type Report } from '@drayage/core';
import type { Swarm } from '@drayage/swarm';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { explain } from './explain.ts';
import { heldImages } from './held-images.ts';
import { type ImageParts, type ImageRequest, pullImage } from './pull-image.ts';
import type { EventSink, EventStreams } from './sse.ts';
import { verifyStore } from './verify-store.ts';

export interface ApiParts extends ImageParts {
  readonly status: () => object;
  /** The other hosts; undefined for a host without a swarm. */
  readonly swarm: Swarm | undefined;
  readonly report: Report;
}

const BLOBS_LISTED_MAX = 10_000;
const LOOK_MS = 30_000;
const REFERENCE_CHARS_MAX = 1024;

/** The calls under /api. */
export function addApi(app: FastifyInstance, streams: EventStreams, parts: ApiParts): void {
  const { store, catalog, pulls, swarm, now } = parts;
  app.get('/api/status', async () => parts.status());
  app.get('/api/members', async () => ({ members: swarm?.members() ?? [] }));
  app.get('/api/pulls', async () => ({ pulls: pulls.list() }));
  // A reference may hold slashes and be longer than a parameter may.
  app.get<{ Params: { '*': string } }>('/api/explain/*', async ({ params }) => {
    const target = params['*'].slice(0, REFERENCE_CHARS_MAX);
    return explain(target, parts, AbortSignal.timeout(LOOK_MS));
  });
  app.get('/api/images', async () => ({
    images: await heldImages({ store, catalog }, AbortSignal.timeout(LOOK_MS)),
  }));
  app.get('/api/blobs', async () => {
    const held = [...store.list()].sort((a, b) => b.lastUsedAt - a.lastUsedAt);
    const blobs = held.slice(0, BLOBS_LISTED_MAX).map((blob) => {
      const facts = catalog.facts(blob.digest);
      return { ...blob, mediaType: facts?.mediaType, repositories: facts?.repositories ?? [] };
    });
    return { total: held.length, blobs };
  });
  app.delete<{ Params: { digest: string } }>('/api/blobs/:digest', async ({ params }) => {
    const digest = requireDigest(params.digest);
    if (!(await store.remove(digest))) throw new Failure('blob_unknown', `${digest} is not in the store`);
    return { removed: digest };
  });

  const stream = (reply: FastifyReply, run: (sink: EventSink) => Promise<void>) => {
    const isOpen = streams.open(reply.raw, (sink) => told(sink, parts.report, run));
    if (!isOpen) return reply.code(429).send({ error: { code: 'unsupported', message: 'too many listen already' } });
    return reply.hijack();
  };
  app.post('/api/pulls', async ({ body }, reply) => {
    const request = readImageRequest(body);
    return stream(reply, (sink) => pullImage(request, parts, sink));
  });
  let isVerifying = false;
  app.post('/api/verify', async (_request, reply) => {
    if (isVerifying) throw new Failure('unsupported', 'the store is being verified already');
    return stream(reply, async (sink) => {
      isVerifying = true;
      try {
        await verifyStore(store, now, sink);
      } finally {
        isVerifying = false;
      }
    });
  });
}

/** A failure of the work becomes the last event: the status was sent long ago. */
async function told(sink: EventSink, report: Report, run: (sink: EventSink) => Promise<void>): Promise<void> {
  try {
    await run(sink);
  } catch (error) {
    if (sink.signal.aborted) return;
    if (!isFailure(error)) report({ kind: 'error', where: 'admin', problem: describe(error) });
    const message = isFailure(error) ? describe(error) : 'internal error';
    sink.tell('failed', { code: isFailure(error) ? error.code : 'internal', message });
  }
}

function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (!digest) throw new Failure('digest_invalid', 'not a digest such as sha256:…');
  return digest;
}

function readImageRequest(body: unknown): ImageRequest {
  const { reference, platform } = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  if (typeof reference !== 'string' || reference === '' || reference.length > REFERENCE_CHARS_MAX) {
    throw new Failure(
      'options_invalid',
      'the body must be {"reference": "NAME[:TAG]", "platform"?: "OS/ARCHITECTURE"}',
    );
  }
  if (platform !== undefined && typeof platform !== 'string') {
    throw new Failure('options_invalid', 'the platform must be OS/ARCHITECTURE');
  }
  return { reference, platform };
}
