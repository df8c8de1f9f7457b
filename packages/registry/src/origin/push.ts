import { type Digest, parseDigest } from '@drayage/core';
import { headerOf, readWhole } from './answer.ts';
import { type AskerParts, failureOf } from './asker.ts';
import { isObject, list, parseObject, text } from './json.ts';
import type { Answer } from './line.ts';
import { targetOf } from './redirect.ts';
import { unavailable } from './refusal.ts';
import type { Push, PushError, Pushed } from './types.ts';

const ANSWER_BYTES_MAX = 64 * 1024;
const ERRORS_MAX = 8;
const MESSAGE_CHARS_MAX = 512;
const RANGE = /^(?:bytes=)?(0-\d{1,15})$/;

/** Error codes of the distribution specification, and those that registries add to them. */
const CODES: ReadonlySet<string> = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DENIED',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'MANIFEST_UNVERIFIED',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'RANGE_INVALID',
  'SIZE_INVALID',
  'TAG_INVALID',
  'TOOMANYREQUESTS',
  'UNAUTHORIZED',
  'UNAVAILABLE',
  'UNKNOWN',
  'UNSUPPORTED',
]);

/** Hands over what a client pushes, once, and understands what the origin says to it. */
export function pusherOf({ line, authority, path, caller }: AskerParts) {
  const { origin } = line;

  async function send({ method, to, from, headers = {}, body }: Push, signal: AbortSignal): Promise<Pushed> {
    const url = to instanceof URL ? to : new URL(`/v2/${path}/${to}`, line.url);
    const request = { method, url, headers, push: true, ...(body !== undefined && { body }) };
    const question = { ...request, repository: path, actions: 'pull,push', reads: from } as const;
    const answer = await authority.ask(question, caller, signal);
    const bytes = await readWhole(origin, answer, ANSWER_BYTES_MAX);
    const next = answer.status === 202 || answer.status === 204 ? nextOf(origin, answer) : undefined;
    // Another host could else have a credential shown to an address at the origin that it chose.
    const home = to instanceof URL ? to : answer.foreign ? answer.url : undefined;
    if (home && next && next.origin !== home.origin) {
      throw unavailable(origin, `moves an upload from ${home.host} to ${next.host}`);
    }
    return { ...wordsOf(answer), next, errors: errorsOf(answer.status, bytes) };
  }

  return async (push: Push, signal: AbortSignal): Promise<Pushed> => {
    try {
      return await send(push, signal);
    } catch (error) {
      throw failureOf(origin, error, signal);
    }
  };
}

/** Where an upload goes on. */
function nextOf(origin: string, answer: Answer): URL | undefined {
  const location = headerOf(answer, 'location');
  if (location === undefined) return undefined;
  const url = targetOf(origin, answer.url, location);
  url.hash = '';
  return url;
}

function wordsOf(answer: Answer): Omit<Pushed, 'next' | 'errors'> {
  const matching = (name: string, grammar: RegExp) => grammar.exec(headerOf(answer, name) ?? '')?.[1];
  const digest = (name: string): Digest | undefined => parseDigest(headerOf(answer, name) ?? '');
  return {
    status: answer.status,
    range: matching('range', RANGE),
    digest: digest('docker-content-digest'),
    subject: digest('oci-subject'),
    chunkBytesMin: matching('oci-chunk-min-length', /^(\d{1,15})$/),
    retryAfter: matching('retry-after', /^(\d{1,6})$/),
  };
}

/** What an origin has against a push, as far as it is of the specification's form. */
function errorsOf(status: number, bytes: Buffer): readonly PushError[] {
  if (status < 400) return [];
  const errors = list(parseObject(bytes.toString()), 'errors') ?? [];
  return errors
    .slice(0, ERRORS_MAX)
    .filter(isObject)
    .map((error) => ({ code: text(error, 'code') ?? '', message: text(error, 'message') ?? '' }))
    .filter(({ code }) => CODES.has(code))
    .map(({ code, message }) => ({ code, message: message.replace(/[^\x20-\x7e]/g, '?').slice(0, MESSAGE_CHARS_MAX) }));
}
