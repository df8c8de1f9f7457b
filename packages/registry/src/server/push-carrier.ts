import { type BlobStore, type Catalog, type Digest, describe, type Intake, type Report } from '@drayage/core';
import type { Pushed } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import { bare, refusedBy } from './push-answer.ts';
import type { Step } from './push-blobs.ts';
import type { Session, Sessions } from './upload-sessions.ts';

/** Carries out what a client wants of an upload that has begun. Nobody else works on the session meanwhile. */
export interface Carrier extends AsyncDisposable {
  append(step: Step, session: Session, signal: AbortSignal): Promise<Answer>;
  finish(step: Step, session: Session, digest: Digest, signal: AbortSignal): Promise<Answer>;
  ask(step: Step, session: Session, verb: 'ask' | 'cancel', signal: AbortSignal): Promise<Answer>;
}

export interface CarrierParts {
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly report: Report;
  readonly sessions: Sessions;
}

/** A client that has pushed waits so long for the disk: whoever pulls next then finds the blob here. */
const SEAL_WAIT_MS = 3_000;
const CONTENT_RANGE = /^(?:bytes[ =])?\d{1,15}-\d{1,15}(?:\/(?:\d{1,15}|\*))?$/;

export function carrierOf(parts: CarrierParts): Carrier {
  const { catalog, sessions } = parts;
  const sealing = new Set<Promise<void>>();

  /** Ends when the blob is sealed, or the disk takes too long over it: then that goes on by itself. */
  async function sealed(step: Step, arrived: Arrived): Promise<void> {
    const work: Promise<void> = seal(parts, step, arrived).finally(() => sealing.delete(work));
    sealing.add(work);
    await soon([work]);
  }

  return {
    async append(step, session, signal) {
      const pushed = await send({ ...parts, step, session, method: 'PATCH', to: session.next }, signal);
      if (pushed.status !== 202) return refusedBy(step.remote.origin, pushed);
      session.next = pushed.next ?? session.next;
      if (!isAllTaken(pushed, session)) await letGo(session);
      return goesOn(step, session, pushed, 202);
    },

    async finish(step, session, digest, signal) {
      const to = withDigest(session.next, digest);
      const pushed = await send({ ...parts, step, session, method: 'PUT', to }, signal);
      if (pushed.status !== 201) return refusedBy(step.remote.origin, pushed);
      const { intake, taken: bytes } = session;
      session.intake = undefined;
      await sessions.end(session);
      catalog.note(digest, { repository: step.key });
      await sealed(step, { digest, intake, bytes });
      return keptAnswer(step, digest);
    },

    async ask(step, session, verb, signal) {
      const { remote } = step;
      const pushed = await remote.push({ method: verb === 'ask' ? 'GET' : 'DELETE', to: session.next }, signal);
      if (verb === 'ask') {
        session.next = pushed.next ?? session.next;
        return pushed.status === 204 ? goesOn(step, session, pushed, 204) : refusedBy(remote.origin, pushed);
      }
      await sessions.end(session);
      return pushed.status === 204 ? bare(204, {}) : refusedBy(remote.origin, pushed);
    },

    [Symbol.asyncDispose]: () => soon(sealing),
  };
}

interface SendParts extends CarrierParts {
  readonly step: Step;
  readonly session: Session;
  readonly method: 'PATCH' | 'PUT';
  readonly to: URL;
}

/** Sends on what the client sends. It stays here only as long as the origin takes every byte of it. */
async function send({ store, step, session, method, to }: SendParts, signal: AbortSignal): Promise<Pushed> {
  const { remote, body, contentRange } = step;
  const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
  if (!body.isExpected) return await remote.push({ method, to, headers }, signal);
  if (body.length !== undefined) headers['content-length'] = String(body.length);
  if (contentRange !== undefined && CONTENT_RANGE.test(contentRange)) headers['content-range'] = contentRange;
  if (session.isWhole) session.intake ??= await store.intake();
  session.isWhole = false;
  let bytes = 0;
  const read = body.read(session.intake, signal);
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of read) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  try {
    const pushed = await remote.push({ method, to, headers, body: counted() }, signal);
    const isTaken = pushed.status === 201 || pushed.status === 202;
    if (isTaken) session.taken += bytes;
    session.isWhole = isTaken && session.intake !== undefined;
    return pushed;
  } finally {
    if (!session.isWhole) await letGo(session);
  }
}

/** What the origin has taken as a blob, and what is kept of it here. */
interface Arrived {
  readonly digest: Digest;
  readonly intake: Intake | undefined;
  readonly bytes: number;
}

/** Never rejects: the push is done, whatever becomes of what was kept of it. */
async function seal(
  { catalog, report }: CarrierParts,
  { key, remote: { origin } }: Step,
  { digest, intake, bytes }: Arrived,
): Promise<void> {
  try {
    const outcome = (await intake?.seal(digest)) ?? 'lost';
    if (outcome === 'sealed') catalog.note(digest, { repository: key, size: bytes });
    const detail = `${origin} took bytes for it that are not its own`;
    if (outcome === 'unlike') report({ kind: 'corrupt', where: 'origin', digest, detail });
    report({ kind: 'pushed', origin, digest, bytes, isKept: outcome === 'sealed' });
  } catch (error) {
    report({ kind: 'error', where: 'push', problem: describe(error) });
  }
}

/** Waits for the disk, but not for long. */
async function soon(work: Iterable<Promise<void>>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, SEAL_WAIT_MS);
  await Promise.race([Promise.all(work), late.promise]);
  clearTimeout(timer);
}

/** Where the client is to go on: at this agent, whatever the origin said. */
export function goesOn(
  { place, query }: Pick<Step, 'place' | 'query'>,
  { id, taken }: Session,
  { range, chunkBytesMin }: Pushed,
  status: 202 | 204,
): Answer {
  return bare(status, {
    Location: `${place}/uploads/${id}${query}`,
    'Docker-Upload-UUID': id,
    Range: range ?? `0-${Math.max(taken - 1, 0)}`,
    'OCI-Chunk-Min-Length': chunkBytesMin,
  });
}

/** The blob is in its repository. */
export function keptAnswer({ place, query }: Pick<Step, 'place' | 'query'>, digest: Digest): Answer {
  return bare(201, { Location: `${place}/${digest}${query}`, 'Docker-Content-Digest': digest });
}

/** From now on bytes of the upload are missing here. */
async function letGo(session: Session): Promise<void> {
  const { intake } = session;
  session.isWhole = false;
  session.intake = undefined;
  await intake?.[Symbol.asyncDispose]();
}

/** Whether the origin has as many bytes as are here. Of none and of one alike it says that they reach to 0. */
function isAllTaken({ range }: Pushed, { taken }: Session): boolean {
  return range === undefined || Number(range.slice(2)) === Math.max(taken - 1, 0);
}

/** Appended as text: some origins sign their addresses as they are spelled. */
function withDigest(address: URL, digest: Digest): URL {
  const url = new URL(address);
  url.search = `${url.search}${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`;
  return url;
}
