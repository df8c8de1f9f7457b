import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlobStore, type Catalog, Failure, isFailure, type Report, type Repository } from '@drayage/core';
import type { Caller, Origins } from '../origin/types.ts';
import type { Access } from './access.ts';
import type { Answer } from './answer.ts';
import type { Asked } from './client-credential.ts';
import type { Policies } from './policy.ts';
import { openPushBlobs } from './push-blobs.ts';
import { bodyOf } from './push-body.ts';
import { manifestPusher } from './push-manifest.ts';
import type { UploadTarget } from './push-target.ts';
import { namespaceOf, type PutTarget, type Target } from './request.ts';

export type PushTarget = UploadTarget | PutTarget;

/** Answers what belongs to a push. */
export type AnswerPush = (target: PushTarget, exchange: Exchange, signal: AbortSignal) => Promise<Answer>;

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly asked: Asked;
}

export interface Pushes extends AsyncDisposable {
  readonly answer: AnswerPush;
}

export interface PushParts {
  readonly origins: Origins;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly policies: Policies;
  readonly access: Pick<Access, 'credentialFor' | 'refused'>;
  readonly report: Report;
  readonly now: () => number;
  /** A client that sends nothing for this long has stalled. */
  readonly stallMs: number;
}

const ACTIONS = 'pull,push';

export function isPush(target: Target): target is PushTarget {
  return target.kind === 'upload' || target.kind === 'put';
}

/** Lets clients push to the origins whose settings allow it. */
export function openPushes(parts: PushParts): Pushes {
  const { policies, access } = parts;
  const blobs = openPushBlobs(parts);
  const putManifest = manifestPusher(parts);

  async function answerAs(
    caller: Caller,
    target: PushTarget,
    exchange: Exchange,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { incoming, response, path } = exchange;
    const { headers } = incoming;
    const namespace = namespaceOf(path);
    const query = namespace === undefined ? '' : `?ns=${encodeURIComponent(namespace)}`;
    const body = bodyOf(incoming, response, parts.stallMs);
    if (target.kind === 'put') {
      return await putManifest({ ...target, caller, query, body, mediaType: headers['content-type'] }, signal);
    }
    return await blobs.answer({ ...target, caller, query, body, contentRange: headers['content-range'] }, signal);
  }

  return {
    async answer(target, exchange, signal) {
      const { asked } = exchange;
      if (!policies.for(asked.repository).push) throw refusal(policies, asked.repository);
      const isOwn = policies.for(asked.repository).access === 'node';
      const caller: Caller = isOwn ? { kind: 'agent' } : await access.credentialFor(asked, ACTIONS, signal);
      try {
        return await answerAs(caller, target, exchange, signal);
      } catch (error) {
        const isRefused = isFailure(error, 'denied') || isFailure(error, 'unauthorized');
        // The client may have a better credential; nobody here has a better one than the agent's.
        if (!isRefused || isOwn) throw error;
        throw await access.refused(asked, error, ACTIONS, signal);
      }
    },
    [Symbol.asyncDispose]: () => blobs[Symbol.asyncDispose](),
  };
}

function refusal(policies: Policies, repository: Repository): Failure {
  const { origin } = repository;
  const isBypass = policies.for(repository).access === 'bypass';
  const why = isBypass ? 'is never done where access is bypass' : 'is off: set `push: true` for it under `origins:`';
  return new Failure('unsupported', `pushing to ${origin} through this agent ${why}, or push to the origin directly`);
}
