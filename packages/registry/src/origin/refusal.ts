import { Failure } from '@drayage/core';

const CHALLENGE = Symbol('challenge');

/** The origin gives no usable answer. The problem must hold no secret: no header values, no query of a URL. */
export function unavailable(origin: string, problem: string, cause?: unknown): Failure {
  return new Failure('origin_unavailable', `${origin} ${problem}`, cause === undefined ? undefined : { cause });
}

/** The origin wants a credential, or a better one, and says how in the challenge. */
export function unauthorized(origin: string, problem: string, challenge: string | undefined): Failure {
  return Object.assign(new Failure('unauthorized', `${origin} ${problem}`), { [CHALLENGE]: challenge });
}

/** The checked WWW-Authenticate value that an `unauthorized` failure of an origin carries. */
export function challengeOf(error: unknown): string | undefined {
  if (!(error instanceof Failure) || !(CHALLENGE in error)) return undefined;
  const challenge = error[CHALLENGE];
  return typeof challenge === 'string' ? challenge : undefined;
}
