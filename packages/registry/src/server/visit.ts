import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, Failure, type Happening, orAbort, type Report, type Source } from '@drayage/core';
import { type Answer, sourceOf } from './answer.ts';
import type { BufferPool } from './buffers.ts';
import { isPush } from './push.ts';
import { hasBody } from './push-body.ts';
import { namespaceOf, type Target } from './request.ts';
import { labelOf, type Router } from './router.ts';
import { SEND_LIMITS, type SendLimits, sendAnswer } from './send.ts';

/** How long a client may have to wait. */
export interface VisitLimits extends SendLimits {
  /** After this long without a first byte the client is sent to the origin. */
  readonly firstByteMs: number;
  /** The same for clients that have nowhere else to go. */
  readonly patientFirstByteMs: number;
  /** A push goes on as long as its bytes move; after this long without any it is ended. */
  readonly uploadStallMs: number;
}

export const VISIT_LIMITS: VisitLimits = {
  ...SEND_LIMITS,
  firstByteMs: 10_000,
  patientFirstByteMs: 30_000,
  uploadStallMs: 60_000,
};

/** The origin that a client means, which gets what is not answered here. */
export interface Meant {
  readonly origin: string;
  /** Lets it answer, and resolves when that answer is sent. Throws when there is none. */
  forward(incoming: IncomingMessage, response: ServerResponse, progress: ForwardProgress): Promise<void>;
}

export interface ForwardProgress {
  /** Called when the headers are on their way. */
  started(): void;
  sent(bytes: number): void;
  /** Aborts when the client goes. */
  readonly signal: AbortSignal;
}

export interface VisitParts {
  readonly router: Router;
  readonly buffers: BufferPool;
  readonly limits: VisitLimits;
  readonly report: Report;
}

/** One request from its first header to its last byte. */
interface Visit {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly startedAt: number;
  firstByteAt: number | undefined;
  source: Source | undefined;
  bytes: number;
  problem: string | undefined;
}

// They never try another registry after the first manifest, so a late answer is better than none.
const PATIENT_CLIENT = /^(?:containers|skopeo|buildah|cri-o)\//i;
// What nginx logs for a client that closed before it was answered.
const CODE_CLIENT_GONE = 499;

/** A request as it came, and whom it is for when that is not us. */
export interface Visitor {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly meant?: Meant;
}

/** Serves one request, whatever happens, and reports how it went. Never rejects. */
export async function serve(parts: VisitParts, { incoming, response, path, meant }: Visitor): Promise<void> {
  if (incoming.socket.destroyed) return;
  const { router, report } = parts;
  const visit: Visit = {
    incoming,
    response,
    startedAt: performance.now(),
    firstByteAt: undefined,
    source: undefined,
    bytes: 0,
    problem: undefined,
  };
  // What goes wrong on the connection ends it, and that end is what counts.
  response.on('error', () => undefined);
  setCommonHeaders(visit, path);
  const routed = router.route(incoming, response, path, meant?.origin);
  const isBounded = routed.target === undefined || !isPush(routed.target);
  try {
    await attempt(visit, parts, { ...routed, isBounded })
      .catch((error: unknown) => {
        // A body that was read cannot be sent on again.
        if (!meant || isAnswered(visit) || incoming.readableDidRead) throw error;
        return forward(visit, meant);
      })
      .catch((error: unknown) => {
        if (isAnswered(visit)) throw error;
        return attempt(visit, parts, { find: async () => routed.refuse(error), isBounded });
      });
  } catch (error) {
    visit.problem = describe(error);
    response.destroy();
  }
  const { source, bytes } = visit;
  if (source !== undefined && bytes > 0) report({ kind: 'served', to: 'client', source, bytes });
  report(happeningOf(visit, routed.target));
}

function isAnswered({ response }: Visit): boolean {
  return response.headersSent || response.destroyed;
}

async function forward(visit: Visit, meant: Meant): Promise<void> {
  const { incoming, response } = visit;
  const stop = new AbortController();
  const gone = () => stop.abort(new Failure('blob_unavailable', 'the client closed the connection'));
  response.once('close', gone);
  // The answer is the origin's, and so are its headers.
  const ours = response.getHeaders();
  for (const name of Object.keys(ours)) response.removeHeader(name);
  try {
    await meant.forward(incoming, response, {
      started: () => {
        visit.firstByteAt = performance.now();
        visit.problem = undefined;
      },
      sent: (bytes) => {
        visit.bytes += bytes;
      },
      signal: stop.signal,
    });
  } catch (error) {
    if (!isAnswered(visit)) for (const [name, value] of Object.entries(ours)) response.setHeader(name, value ?? '');
    throw error;
  } finally {
    response.off('close', gone);
  }
}

function setCommonHeaders({ response }: Visit, path: string): void {
  response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  const namespace = namespaceOf(path);
  if (namespace !== undefined) response.setHeader('OCI-Namespace', namespace);
}

interface Search {
  find(signal: AbortSignal): Promise<Answer>;
  /** Whether the client waits for a first byte, and no longer than that. */
  readonly isBounded: boolean;
}

/** Looks for an answer and sends it. Throws when there is none, or it could not be sent to its end. */
async function attempt(
  visit: Visit,
  { buffers, limits, report }: VisitParts,
  { find, isBounded }: Search,
): Promise<void> {
  const { incoming, response } = visit;
  const stop = new AbortController();
  const end = (why: string) => stop.abort(new Failure('blob_unavailable', why));
  response.once('close', () => {
    if (!response.writableFinished) end('the client closed the connection');
  });
  const isPatient = PATIENT_CLIENT.test(incoming.headers['user-agent'] ?? '');
  const waitMs = isPatient ? limits.patientFirstByteMs : limits.firstByteMs;
  let giveHeaders = () => false;
  const whenLate = (give: () => boolean) => {
    giveHeaders = give;
  };
  const giveUp = () => giveHeaders() || end(`nothing to send within ${waitMs / 1000} s`);
  const late = isBounded ? setTimeout(giveUp, waitMs) : undefined;
  const started = () => {
    clearTimeout(late);
    visit.firstByteAt = performance.now();
  };
  const sent = (bytes: number) => {
    visit.bytes += bytes;
  };
  const finding = find(stop.signal);
  let answer: Answer | undefined;
  try {
    answer = await orAbort(finding, stop.signal);
    visit.problem = answer.problem;
    // A body that nobody read would have to be read to reuse the connection.
    if (hasBody(incoming) && !incoming.complete) response.setHeader('Connection', 'close');
    const seen = incoming.method === 'HEAD' ? { ...answer, body: undefined } : answer;
    await sendAnswer(seen, { response, stop, buffers, limits, whenLate, started, sent });
  } finally {
    clearTimeout(late);
    // A blob may have changed its source on the way.
    if (answer) visit.source = sourceOf(answer);
    // An answer may still come when nobody wants it any more.
    if (answer) await release(answer, report);
    else finding.then((unwanted) => release(unwanted, report)).catch(() => undefined);
  }
}

async function release({ body }: Answer, report: Report): Promise<void> {
  if (body === undefined || Buffer.isBuffer(body)) return;
  try {
    await body.blob[Symbol.asyncDispose]();
  } catch (error) {
    report({ kind: 'error', where: 'endpoint', problem: describe(error) });
  }
}

function happeningOf(visit: Visit, target: Target | undefined): Happening {
  const { incoming, response, startedAt, firstByteAt, source, bytes, problem } = visit;
  const method = incoming.method ?? '';
  return {
    kind: 'request',
    what: whatOf(method, target),
    method,
    target: labelOf(target),
    code: firstByteAt === undefined ? CODE_CLIENT_GONE : response.statusCode,
    seconds: (performance.now() - startedAt) / 1000,
    firstByteSeconds: firstByteAt === undefined ? undefined : (firstByteAt - startedAt) / 1000,
    source,
    bytes,
    problem,
  };
}

function whatOf(method: string, target: Target | undefined): 'manifest' | 'blob' | 'tag' | 'upload' | 'other' {
  if (target?.kind === 'token') return 'other';
  if ((method !== 'GET' && method !== 'HEAD') || target?.kind === 'upload') return 'upload';
  if (target?.kind === 'manifest') return 'tag' in target.reference ? 'tag' : 'manifest';
  return target?.kind === 'blob' ? 'blob' : 'other';
}
