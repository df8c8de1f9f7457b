import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlobStore, type Catalog, Failure, type Report, type Repository } from '@drayage/core';
import type { Caller, Origins } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import type { Shelf } from './manifest-shelf.ts';
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
}

export interface Pushes extends AsyncDisposable {
  readonly answer: AnswerPush;
}

export interface PushParts {
  readonly origins: Origins;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly policies: Policies;
  readonly shelf: Pick<Shelf, 'keep'>;
  readonly report: Report;
  readonly now: () => number;
  /** A client that sends nothing for this long has stalled. */
  readonly stallMs: number;
}

export function isPush(target: Target): target is PushTarget {
  return target.kind === 'upload' || target.kind === 'put';
}

/** Lets clients push to the origins whose settings allow it. */
export function openPushes(parts: PushParts): Pushes {
  const blobs = openPushBlobs(parts);
  const putManifest = manifestPusher(parts);
  return {
    async answer(target, { incoming, response, path }, signal) {
      const { headers } = incoming;
      const caller = callerOf(parts.policies, target.repository, headers.authorization);
      const namespace = namespaceOf(path);
      const query = namespace === undefined ? '' : `?ns=${encodeURIComponent(namespace)}`;
      const body = bodyOf(incoming, response, parts.stallMs);
      if (target.kind === 'put') {
        return await putManifest({ ...target, caller, query, body, mediaType: headers['content-type'] }, signal);
      }
      return await blobs.answer({ ...target, caller, query, body, contentRange: headers['content-range'] }, signal);
    },
    [Symbol.asyncDispose]: () => blobs[Symbol.asyncDispose](),
  };
}

/** In whose name it is pushed. Throws `unsupported` where nobody may push through this agent. */
function callerOf(policies: Policies, repository: Repository, authorization: string | undefined): Caller {
  const { access, push } = policies.for(repository);
  if (!push) {
    const { origin } = repository;
    const why = access === 'bypass' ? 'is never done where access is bypass' : 'is off: set `push: true`';
    const how = access === 'bypass' ? '' : ` for ${origin} under \`origins:\` in the config file`;
    throw new Failure(
      'unsupported',
      `pushing to ${origin} through this agent ${why}${how}, or push to the origin directly`,
    );
  }
  if (access === 'node') return { kind: 'agent' };
  return authorization === undefined ? { kind: 'anonymous' } : { kind: 'client', authorization };
}
