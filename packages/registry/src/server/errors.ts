import { describe, Failure, type FailureCode, isFailure } from '@drayage/core';
import type { Answer } from './answer.ts';

/** What a client is told when it does not get what it asked for. */
export interface Refusal {
  readonly status: number;
  /** A code of the distribution specification. */
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const CHALLENGE = Symbol('challenge to the client');

/** The client is to show a credential, or a better one, in the way the challenge says. */
export function demanding(problem: string, challenge: string): Failure {
  return Object.assign(new Failure('unauthorized', problem), { [CHALLENGE]: challenge });
}

/** What the failure demands of the client; undefined when it demands nothing. */
export function demandedBy(error: unknown): string | undefined {
  if (!(error instanceof Failure) || !(CHALLENGE in error)) return undefined;
  return typeof error[CHALLENGE] === 'string' ? error[CHALLENGE] : undefined;
}

/** What was asked for, as far as the error codes care. */
export type Subject = 'manifest' | 'blob' | 'name';

const MESSAGE_CHARS_MAX = 1024;

const TOLD: { readonly [C in FailureCode]?: readonly [status: number, code: string] } = {
  blob_unknown: [404, 'BLOB_UNKNOWN'],
  denied: [403, 'DENIED'],
  digest_invalid: [400, 'DIGEST_INVALID'],
  manifest_unknown: [404, 'MANIFEST_UNKNOWN'],
  name_invalid: [400, 'NAME_INVALID'],
  name_unknown: [404, 'NAME_UNKNOWN'],
  range_invalid: [416, 'RANGE_INVALID'],
  // Without a challenge that the client can answer, 401 would make it try again; 403 sends it to the origin at once.
  unauthorized: [403, 'DENIED'],
  unsupported: [405, 'UNSUPPORTED'],
  upload_unknown: [404, 'BLOB_UPLOAD_UNKNOWN'],
};

const MISSING: { readonly [S in Subject]: string } = {
  blob: 'BLOB_UNKNOWN',
  manifest: 'MANIFEST_UNKNOWN',
  name: 'NAME_UNKNOWN',
};

/**
 * Turns whatever went wrong into an answer. All that is not the client's doing becomes a plain 404: it is the only answer
 * that makes every client go to the origin at once, where a 5xx would stall dockerd for 75 seconds.
 */
export function refusalOf(error: unknown, subject: Subject): Refusal {
  const challenge = demandedBy(error);
  if (challenge !== undefined) {
    const headers = { 'WWW-Authenticate': challenge };
    return { status: 401, code: 'UNAUTHORIZED', message: describe(error), headers };
  }
  const told = isFailure(error) ? TOLD[error.code] : undefined;
  if (!told) return { status: 404, code: MISSING[subject], message: `not available here: ${describe(error)}` };
  return { status: told[0], code: told[1], message: describe(error) };
}

/** The answer that tells a client so, in the JSON that the distribution specification wants. */
export function refusalAnswer({ status, code, message, headers }: Refusal): Answer {
  const body = refusalBody(code, message);
  const about = { 'Content-Type': 'application/json', 'Content-Length': body.length };
  return { status, headers: { ...about, ...headers }, body, source: undefined, problem: message };
}

/** One error as the distribution specification writes it. */
export function refusalBody(code: string, message: string): Buffer {
  return errorsBody([{ code, message }]);
}

/** Several of them. */
export function errorsBody(errors: readonly { readonly code: string; readonly message: string }[]): Buffer {
  const told = errors.map(({ code, message }) => ({
    code,
    message: message.slice(0, MESSAGE_CHARS_MAX),
    detail: null,
  }));
  return Buffer.from(JSON.stringify({ errors: told }));
}
