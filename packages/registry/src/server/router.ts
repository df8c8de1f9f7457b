import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, isFailure, type Report, repositoryKey } from '@drayage/core';
import type { Origins } from '../origin/types.ts';
import type { Access } from './access.ts';
import type { Answer } from './answer.ts';
import type { AnswerBlob } from './blobs.ts';
import { refusalAnswer, refusalOf } from './errors.ts';
import { type IsOwn, refusalByHost } from './host.ts';
import type { AnswerManifest } from './manifests.ts';
import type { AnswerList } from './passthrough.ts';
import { type AnswerPush, isPush, type PushTarget } from './push.ts';
import { pushRefusal } from './push-answer.ts';
import { parseTarget, type Target } from './request.ts';

/** Finds the answer to a request, and always gives one. */
export interface Router {
  route(incoming: IncomingMessage, response: ServerResponse, path: string): Routed;
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
  readonly answerPush: AnswerPush;
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
    route(incoming, response, path) {
      const refusal = refusalByHost(incoming, path, isOwn);
      if (refusal) return settled(refusalAnswer(refusal));
      const names = {
        defaultOrigin,
        isOrigin: (name: string) => origins.has(name),
        isOwn: (name: string) => isOwn(name, incoming.socket),
      };
      try {
        const target = parseTarget(incoming.method ?? '', path, names);
        return {
          target,
          find: (signal) =>
            isPush(target)
              ? parts.answerPush(target, { incoming, response, path }, signal)
              : find(parts, target, { incoming, path }, signal),
          refuse: (error) => refuse(parts, target, error),
        };
      } catch (error) {
        return settled(refuse(parts, undefined, error));
      }
    },
  };
}

/** What was asked for, as people write it. */
export function labelOf(target: Target | undefined): string {
  if (target === undefined || target.kind === 'ping') return '';
  const key = repositoryKey(target.repository);
  if (target.kind === 'tags' || target.kind === 'upload') return key;
  if (target.kind !== 'manifest' && target.kind !== 'put') return `${key}@${target.digest}`;
  return 'tag' in target.reference ? `${key}:${target.reference.tag}` : `${key}@${target.reference.digest}`;
}

function settled(answer: Answer): Routed {
  return { target: undefined, find: () => Promise.resolve(answer), refuse: () => answer };
}

async function find(
  { answerManifest, answerBlob, answerList }: RouterParts,
  target: Exclude<Target, PushTarget>,
  { incoming: { headers, method }, path }: { readonly incoming: IncomingMessage; readonly path: string },
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

function refuse({ access, report }: RouterParts, target: Target | undefined, error: unknown): Answer {
  if (!isFailure(error)) report({ kind: 'error', where: 'endpoint', problem: describe(error) });
  if (target === undefined || target.kind === 'ping') return refusalAnswer(refusalOf(error, 'name'));
  if (isPush(target)) return refusalAnswer(pushRefusal(error));
  const { origin } = target.repository;
  if (isFailure(error, 'origin_unavailable')) {
    report({ kind: 'masked', origin, target: labelOf(target), problem: describe(error) });
  }
  if (isFailure(error, 'denied') || isFailure(error, 'unauthorized')) access.refused(target.repository);
  const subject = target.kind === 'blob' || target.kind === 'manifest' ? target.kind : 'name';
  return refusalAnswer(refusalOf(error, subject));
}
