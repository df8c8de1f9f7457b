import { describe, type FailureCode, isFailure } from '@drayage/core';
import type { Pushed } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import { errorsBody, type Refusal, refusalOf } from './errors.ts';

/** An answer of which the headers are all there is. */
export function bare(status: number, headers: Readonly<Record<string, string | undefined>>): Answer {
  const sent = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const length = status === 204 ? {} : { 'Content-Length': 0 };
  return { status, headers: { ...length, ...Object.fromEntries(sent) }, body: undefined, source: undefined };
}

/** What the origin has against a push, as it said it. */
export function refusedBy(origin: string, { status, errors, retryAfter }: Pushed): Answer {
  const told = status >= 400 && status <= 599 ? status : 502;
  const message = `${origin} answered ${status}`;
  const body = errorsBody(errors.length > 0 ? errors : [{ code: 'UNKNOWN', message }]);
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    ...(retryAfter !== undefined && { 'Retry-After': retryAfter }),
  };
  return { status: told, headers, body, source: undefined, problem: errors[0]?.message ?? message };
}

const TOLD: { readonly [C in FailureCode]?: readonly [status: number, code: string] } = {
  // Whoever sends the bytes has to try again: no other registry can take them in our place.
  blob_unavailable: [408, 'BLOB_UPLOAD_INVALID'],
  manifest_invalid: [400, 'MANIFEST_INVALID'],
  origin_unavailable: [503, 'UNAVAILABLE'],
};

/** What a client is told when its push failed here. Unlike a pull it may see a 5xx, since it has nowhere else to go. */
export function pushRefusal(error: unknown): Refusal {
  if (!isFailure(error)) return { status: 500, code: 'UNKNOWN', message: `this agent failed: ${describe(error)}` };
  const told = TOLD[error.code];
  return told ? { status: told[0], code: told[1], message: describe(error) } : refusalOf(error, 'name');
}
