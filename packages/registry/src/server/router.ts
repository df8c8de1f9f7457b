import type { IncomingMessage } from 'node:http';
import { describe, Failure, isFailure, type Report, repositoryKey } from '@drayage/core';
import type { Origins } from '../origin/types.ts';
import type { Access } from './access.ts';
import type { Answer } from './answer.ts';
import type { AnswerBlob } from './blobs.ts';
import { refusalAnswer, refusalOf } from './errors.ts';
import { type IsOwn, refusalByHost } from './host.ts';
import type { AnswerManifest } from './manifests.ts';
import type { AnswerList } from './passthrough.ts';
import { parseTarget, type Target } from './request.ts';

/** Finds the answer to a request, and always gives one. */
export interface Router {
  /** `meant`: the origin that the client takes us for, when it came by the proxy. */
  route(incoming: IncomingMessage, path: string, meant?: string): Routed;
}

/** A request that has been understood, or refused already. */
interface Routed {
  /** Undefined when the request was refused before it was understood. */
  readonly target: Target | undefined;
  /** Throws when there is no answer. */
  find(signal: AbortSignal): Promise<Answer>;
  /** The answer when there is none. */
  refuse(error: unknown): Answer;
}

export interface RouterParts {
  readonly answerManifest: AnswerManifest;
  readonly answerBlob: AnswerBlob;
  readonly answerList: AnswerList;
  readonly access: Access;
  readonly origins: Origins;
  readonly defaultOrigin: string;
  readonly isOwn: IsOwn;
  readonly report: Report;
}

const PING: Answer = {
  status: 200,
  headers: { 'Content-Type': 'application/json', 'Content-Length': 2 },
  body: Buffer.from('{}'),
  source: undefined,
};

export function openRouter(parts: RouterParts): Router {
  const { origins, defaultOrigin, isOwn } = parts;
  return {
    route(incoming, path, meant) {
      const refusal = meant === undefined ? refusalByHost(incoming, path, isOwn) : undefined;
      if (refusal) return settled(refusalAnswer(refusal));
      const names = {
        meant,
        defaultOrigin,
        isOrigin: (name: string) => origins.has(name),
        isOwn: (name: string) => isOwn(name, incoming.socket),
      };
      try {
        const target = parseTarget(incoming.method ?? '', path, names);
        if (meant !== undefined) return routedAway(parts, target, { incoming, path });
        return {
          target,
          find: (signal) => find(parts, target, { incoming, path }, signal),
          refuse: (error) => refuse(parts, target, error),
        };
      } catch (error) {
        if (meant !== undefined) return { target: undefined, find: () => Promise.reject(error), refuse: badGateway };
        return settled(refuse(parts, undefined, error));
      }
    },
  };
}

/** What was asked for, as people write it. */
export function labelOf(target: Target | undefined): string {
  if (target === undefined || target.kind === 'ping') return '';
  const key = repositoryKey(target.repository);
  if (target.kind === 'tags') return key;
  if (target.kind !== 'manifest') return `${key}@${target.digest}`;
  return 'tag' in target.reference ? `${key}:${target.reference.tag}` : `${key}@${target.reference.digest}`;
}

function settled(answer: Answer): Routed {
  return { target: undefined, find: () => Promise.resolve(answer), refuse: () => answer };
}

/** A request on its way to an origin: what there is no answer for goes on, and is refused only if that fails as well. */
function routedAway(parts: RouterParts, target: Target, asked: Asked): Routed {
  return {
    target,
    async find(signal) {
      // How one signs in is the origin's to say.
      if (!('repository' in target)) throw new Failure('unsupported', 'left to the origin');
      try {
        const answer = await find(parts, target, asked, signal);
        if (answer.status < 400 || answer.status === 416) return answer;
        throw new Failure('blob_unavailable', answer.problem ?? 'left to the origin');
      } catch (error) {
        noteRefusal(parts, target, error);
        throw error;
      }
    },
    // While the origin is away, what is here can be read all the same by those who begin with this question.
    refuse: (error) => (target.kind === 'ping' ? PING : badGateway(error)),
  };
}

function badGateway(error: unknown): Answer {
  return refusalAnswer({ status: 502, code: 'UNAVAILABLE', message: describe(error) });
}

interface Asked {
  readonly incoming: IncomingMessage;
  readonly path: string;
}

async function find(
  { answerManifest, answerBlob, answerList }: RouterParts,
  target: Target,
  { incoming: { headers, method }, path }: Asked,
  signal: AbortSignal,
): Promise<Answer> {
  const headOnly = method === 'HEAD';
  switch (target.kind) {
    case 'ping':
      return PING;
    case 'manifest':
      return answerManifest({ ...target, accept: headers.accept, headOnly }, signal);
    case 'blob': {
      const ifRange = headers['if-range'];
      return answerBlob({ ...target, range: headers.range, ifRange: ifRange?.toString(), headOnly }, signal);
    }
    case 'tags':
    case 'referrers':
      return answerList(target, path, signal);
  }
}

function refuse(parts: RouterParts, target: Target | undefined, error: unknown): Answer {
  noteRefusal(parts, target, error);
  if (target === undefined || target.kind === 'ping') return refusalAnswer(refusalOf(error, 'name'));
  const { origin } = target.repository;
  if (isFailure(error, 'origin_unavailable')) {
    parts.report({ kind: 'masked', origin, target: labelOf(target), problem: describe(error) });
  }
  const subject = target.kind === 'blob' || target.kind === 'manifest' ? target.kind : 'name';
  return refusalAnswer(refusalOf(error, subject));
}

function noteRefusal({ access, report }: RouterParts, target: Target | undefined, error: unknown): void {
  if (!isFailure(error)) report({ kind: 'error', where: 'endpoint', problem: describe(error) });
  if (target === undefined || target.kind === 'ping') return;
  if (isFailure(error, 'denied') || isFailure(error, 'unauthorized')) access.refused(target.repository);
}
