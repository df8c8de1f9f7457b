import type { Span } from '@drayage/core';
import { headerOf } from './answer.ts';
import type { Answer } from './line.ts';
import { unavailable } from './refusal.ts';

const SKIP_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Exactly the bytes of a span, as they come, from an answer of 206 or of 200 (a server may ignore ranges).
 * Throws `origin_unavailable` when the answer is about other bytes or ends too early.
 */
export async function* bytesOf(origin: string, answer: Answer, span: Span): AsyncGenerator<Uint8Array> {
  const wanted = span.end - span.start;
  let skip = bytesBefore(origin, answer, span);
  let left = wanted;
  try {
    for await (const chunk of answer.body) {
      const skipped = Math.min(skip, chunk.length);
      skip -= skipped;
      const useful = chunk.subarray(skipped, skipped + left);
      left -= useful.length;
      if (useful.length > 0) yield useful;
      if (left === 0) break;
    }
    if (left > 0) throw unavailable(origin, `ended a blob ${left} bytes too early`);
  } finally {
    // Ends what is still coming: the rest of a longer body, or of one whose reader stopped in the middle.
    answer.body.destroy();
  }
}

/** How many bytes of the body come before the span. */
function bytesBefore(origin: string, answer: Answer, { start, end }: Span): number {
  if (answer.status === 206) {
    const range = /^bytes (\d{1,15})-(\d{1,15})\/(?:\d{1,15}|\*)$/.exec(headerOf(answer, 'content-range') ?? '');
    if (Number(range?.[1]) === start && Number(range?.[2]) === end - 1) return 0;
    answer.body.destroy();
    throw unavailable(origin, `was asked for bytes ${start}-${end - 1} and sent others`);
  }
  if (start > SKIP_BYTES_MAX) {
    answer.body.destroy();
    throw unavailable(origin, `ignores ranges, and byte ${start} is too far from the start of the blob`);
  }
  return start;
}
