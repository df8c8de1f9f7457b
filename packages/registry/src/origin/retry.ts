import { setTimeout as sleep } from 'node:timers/promises';
import { isFailure } from '@drayage/core';
import { discard, headerOf } from './answer.ts';
import type { Answer } from './line.ts';
import { unavailable } from './refusal.ts';

const TRIES_MAX = 3;
const backoffFirstMs = 100;
const backoffMaxMs = 2_000;

/** Makes an exchange again, up to three times, when it fails in a way that may pass. Throws `origin_unavailable` then. */
export async function retrying(origin: string, exchange: () => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    const { answer, problem, waitMs } = await attempt(origin, exchange, signal);
    if (answer) return answer;
    if (tries === TRIES_MAX || (waitMs !== undefined && waitMs > backoffMaxMs)) throw problem;
    // Full jitter: many hosts that failed together must not come back together.
    const jitterMs = Math.random() * Math.min(backoffMaxMs, backoffFirstMs * 2 ** (tries - 1));
    await sleep(waitMs ?? jitterMs, undefined, { signal });
  }
}

interface Attempt {
  readonly answer?: Answer;
  readonly problem?: Error;
  /** What the origin asked for. */
  readonly waitMs?: number | undefined;
}

async function attempt(origin: string, exchange: () => Promise<Answer>, signal: AbortSignal): Promise<Attempt> {
  try {
    const answer = await exchange();
    const { status } = answer;
    if (status < 500 && status !== 429 && status !== 408) return { answer };
    await discard(answer);
    const waitMs = retryAfterMs(headerOf(answer, 'retry-after'));
    const words = status === 429 ? 'limits the rate of requests (429)' : `answered ${status}`;
    const later =
      waitMs !== undefined && waitMs > backoffMaxMs ? `, and asks to wait ${Math.ceil(waitMs / 1000)} s` : '';
    return { problem: unavailable(origin, words + later), waitMs };
  } catch (error) {
    if (signal.aborted || isFailure(error) || !isNetworkError(error)) throw error;
    return { problem: unavailable(origin, 'cannot be reached', error) };
  }
}

/** Undefined when the header is absent or says nothing. */
function retryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

/** Errors of sockets, TLS and HTTP parsing carry a code; a bug of ours does not. */
export function isNetworkError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code !== 'UND_ERR_INVALID_ARG';
}
