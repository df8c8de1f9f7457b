import type { Answer } from './line.ts';
import { unavailable } from './refusal.ts';

const DISCARD_BYTES_MAX = 64 * 1024;
const discardWaitMs = 1_000;

/** A header that came exactly once. */
export function headerOf(answer: Answer, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : undefined;
}

/** Undefined when the origin does not say, or says nonsense. */
export function contentLength(answer: Answer): number | undefined {
  const text = headerOf(answer, 'content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/**
 * Lets go of an answer nobody reads, keeping the connection when little is left of it. Never waits long: some
 * registries promise more bytes in an error than they send.
 */
export async function discard(answer: Answer): Promise<void> {
  const end = () => answer.body.destroy();
  await answer.body.dump({ limit: DISCARD_BYTES_MAX, signal: AbortSignal.timeout(discardWaitMs) }).catch(end);
}

/** The whole body, or `origin_unavailable` when it is longer than that. */
export async function readWhole(origin: string, answer: Answer, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    // Leaving the loop destroys the body.
    if (bytes > bytesMax) throw unavailable(origin, `sent more than ${bytesMax} bytes where few were expected`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
