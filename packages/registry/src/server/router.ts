import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, Failure, isFailure, type Report, type Repository, repositoryKey } from '@drayage/core';
import type { Origins } from '../origin/types.ts';
import type { Access } from './access.ts';
import type { Answer } from './answer.ts';
import type { AnswerBlob } from './blobs.ts';
import type { Challenges } from './client-challenge.ts';
import { type Asked, hasAnswered, type Visitor } from './client-credential.ts';
import { demandedBy, refusalAnswer, refusalOf } from './errors.ts';
import { type IsOwn, refusalByHost } from './host.ts';
import type { AnswerManifest } from './manifests.ts';
import type { AnswerList } from './passthrough.ts';
import { type AnswerPush, isPush } from './push.ts';
import { pushRefusal } from './push-answer.ts';
import { type Names, parseTarget, spellingOf, type Target } from './request.ts';
import type { AnswerToken } from './token-realm.ts';
import type { Secrets } from './wrapped-token.ts';

/** Finds the answer to a request, and always gives one. */
export interface Router {
  /** `meant`: the origin that the client takes us for, when it came by the proxy. */
  route(incoming: IncomingMessage, response: ServerResponse, path: string, meant?: string): Routed;
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
  readonly answerToken: AnswerToken;
  readonly access: Access;
  readonly challenges: Challenges;
  readonly secrets: Secrets;
  readonly now: () => number;
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
    route(incoming, response, path, meant) {
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
        const arrival = { incoming, response, path, names };
        if (meant !== undefined) return routedAway(parts, target, arrival);
        return {
          target,
          find: (signal) => findOrRefuse(parts, target, arrival, signal),
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
  if (!target || !('repository' in target)) return '';
  const key = repositoryKey(target.repository);
  if (target.kind === 'tags' || target.kind === 'upload') return key;
  if (target.kind !== 'manifest' && target.kind !== 'put') return `${key}@${target.digest}`;
  return 'tag' in target.reference ? `${key}:${target.reference.tag}` : `${key}@${target.reference.digest}`;
}

function settled(answer: Answer): Routed {
  return { target: undefined, find: () => Promise.resolve(answer), refuse: () => answer };
}

/** A request on its way to an origin: what there is no answer for goes on, and is refused only if that fails as well. */
function routedAway(parts: RouterParts, target: Target, arrival: Arrival): Routed {
  return {
    target,
    async find(signal) {
      // How one signs in is the origin's to say, and what one pushes to it the origin's to take.
      if (!('repository' in target) || isPush(target)) throw new Failure('unsupported', 'left to the origin');
      try {
        const answer = await findOrRefuse(parts, target, arrival, signal);
        if (answer.status < 400 || answer.status === 416) return answer;
        throw new Failure('blob_unavailable', answer.problem ?? 'left to the origin');
      } catch (error) {
        if (!isFailure(error)) parts.report({ kind: 'error', where: 'endpoint', problem: describe(error) });
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

interface Arrival {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly names: Names;
}

/** A client whom the origin refuses after all may have a better credential: it is told how to show it. */
async function findOrRefuse(
  parts: RouterParts,
  target: Target,
  arrival: Arrival,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    return await find(parts, target, arrival, signal);
  } catch (error) {
    // A push sees to that itself: its credential may be the agent's.
    const isRefused = isFailure(error, 'denied') || isFailure(error, 'unauthorized');
    if (!isRefused || demandedBy(error) !== undefined || !('repository' in target) || isPush(target)) throw error;
    throw await parts.access.refused(askedBy(target, arrival), error, 'pull', signal);
  }
}

async function find(parts: RouterParts, target: Target, arrival: Arrival, signal: AbortSignal): Promise<Answer> {
  const { answerManifest, answerBlob, answerList, answerToken } = parts;
  const { incoming, path, names } = arrival;
  const { headers, method } = incoming;
  const headOnly = method === 'HEAD';
  switch (target.kind) {
    case 'ping':
      return ping(parts, arrival, signal);
    case 'token':
      return answerToken(incoming, path, names);
    case 'manifest':
      return answerManifest({ ...target, ...askedBy(target, arrival), accept: headers.accept, headOnly }, signal);
    case 'blob': {
      const ifRange = headers['if-range']?.toString();
      const asked = askedBy(target, arrival);
      return answerBlob({ ...target, ...asked, range: headers.range, ifRange, headOnly }, signal);
    }
    case 'upload':
    case 'put':
      return parts.answerPush(target, { ...arrival, asked: askedBy(target, arrival) }, signal);
    case 'tags':
    case 'referrers':
      return answerList({ ...target, ...askedBy(target, arrival) }, path, signal);
  }
}

async function ping({ challenges, secrets, now }: RouterParts, arrival: Arrival, signal: AbortSignal): Promise<Answer> {
  const visitor = visitorOf(arrival.incoming);
  if (hasAnswered(visitor.authorization, { secrets, now })) return PING;
  // An origin that does not say how it asks must not keep clients from what needs no credential.
  const refusal = await challenges.forPing(visitor, signal).catch((error: unknown) => {
    if (!isFailure(error)) throw error;
    return undefined;
  });
  return refusal ? refusalAnswer(refusalOf(refusal, 'name')) : PING;
}

/** The repository as the request asks for it, with what it shows of the client. */
function askedBy(
  { repository, place }: { readonly repository: Repository; readonly place?: string },
  { incoming, path }: Arrival,
): Asked {
  return { repository, visitor: { ...visitorOf(incoming), ...spellingOf(path, repository, place) } };
}

function visitorOf({ headers }: IncomingMessage): Visitor {
  const { authorization, host = '' } = headers;
  return { authorization, host, userAgent: headers['user-agent'] ?? '', name: '', isByPath: false };
}

function refuse({ report }: RouterParts, target: Target | undefined, error: unknown): Answer {
  if (!isFailure(error)) report({ kind: 'error', where: 'endpoint', problem: describe(error) });
  if (!target || !('repository' in target)) return refusalAnswer(refusalOf(error, 'name'));
  if (isPush(target)) return refusalAnswer(pushRefusal(error));
  const { origin } = target.repository;
  if (isFailure(error, 'origin_unavailable')) {
    report({ kind: 'masked', origin, target: labelOf(target), problem: describe(error) });
  }
  const subject = target.kind === 'blob' || target.kind === 'manifest' ? target.kind : 'name';
  return refusalAnswer(refusalOf(error, subject));
}
