import { isFailure } from '@drayage/core';
import { discard, headerOf } from './answer.ts';
import type { Authority } from './authority.ts';
import type { Answer, Line } from './line.ts';
import { unavailable } from './refusal.ts';
import { isNetworkError } from './retry.ts';
import type { Caller } from './types.ts';

interface Ask {
  /** The path below the repository, with its query. */
  readonly what: string;
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** A large body is expected. */
  readonly bulk?: boolean;
  /** Statuses besides 200 that are answers. */
  readonly allows?: readonly number[];
}

/** Asks one repository on one caller's behalf. */
export interface Asker {
  readonly origin: string;
  /** Undefined on a plain 404; an answer with any other status than those allowed throws. */
  ask(request: Ask, signal: AbortSignal): Promise<Answer | undefined>;
}

export interface AskerParts {
  readonly line: Line;
  readonly authority: Authority;
  readonly path: string;
  readonly caller: Caller;
}

/** Puts the questions about one repository into requests. */
export function askerOf({ line, authority, path, caller }: AskerParts): Asker {
  const { origin } = line;
  return {
    origin,
    async ask({ what, method = 'GET', headers = {}, bulk = false, allows = [] }, signal) {
      const url = new URL(`/v2/${path}/${what}`, line.url);
      const answer = await authority.ask({ method, url, headers, bulk, repository: path }, caller, signal);
      const isFine = answer.status === 200 || allows.includes(answer.status);
      if (isFine && (headerOf(answer, 'content-encoding') ?? 'identity') === 'identity') return answer;
      await discard(answer);
      if (answer.status === 404) return undefined;
      const words = isFine ? 'encodes what it sends, unasked' : `answered ${answer.status}`;
      throw unavailable(origin, `${words} (${method} ${url.pathname})`);
    },
  };
}

/** What a question fails with: the caller's own abort as it is, its deadline and broken connections as `origin_unavailable`. */
export function failureOf(origin: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) {
    const { reason } = signal;
    const isLate = reason instanceof Error && reason.name === 'TimeoutError';
    return isLate ? unavailable(origin, 'did not answer in time', reason) : reason;
  }
  if (isFailure(error) || !isNetworkError(error)) return error;
  return unavailable(origin, 'broke off its answer', error);
}
