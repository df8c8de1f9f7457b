import type { Duplex } from 'node:stream';
import { orAbort } from '@drayage/core';
import type { Stream } from '@libp2p/interface';
import { encodeMessage, readMessages } from './messages.ts';
import { toDuplex } from './stream.ts';

/** Questions one member may have open with another. */
const OPEN_QUESTIONS_MAX = 256;
/** A member that stopped reading leaves what we ask it here. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/** The asking end of a control stream. */
export interface Line {
  readonly ended: Promise<void>;
  ask(kind: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  close(): void;
}

interface Waiting {
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: Error) => void;
}

export function openLine(stream: Stream): Line {
  const duplex = toDuplex(stream).on('error', told);
  const waiting = new Map<number, Waiting>();
  let next = 0;
  const ended = takeAnswers(duplex, waiting).then(
    () => failAll(new Error('the member hung up')),
    (error: Error) => failAll(error),
  );

  function failAll(error: Error): void {
    duplex.destroy();
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  return {
    ended,
    async ask(kind, body, signal) {
      signal.throwIfAborted();
      if (duplex.destroyed) throw new Error('the member hung up');
      if (waiting.size >= OPEN_QUESTIONS_MAX) throw new Error('too many questions are open with this member');
      if (duplex.writableLength > UNSENT_BYTES_MAX) throw new Error('the member does not take our questions');
      const id = next++;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      waiting.set(id, { resolve, reject });
      try {
        duplex.write(encodeMessage({ id, kind, body }));
        return await orAbort(promise, signal);
      } finally {
        waiting.delete(id);
      }
    },
    close: () => void duplex.destroy(),
  };
}

/** Whoever reads the stream is told of its error; nobody else needs to be. */
function told(): void {}

async function takeAnswers(duplex: Duplex, waiting: ReadonlyMap<number, Waiting>): Promise<void> {
  for await (const { message } of readMessages(duplex)) {
    const answer = (message ?? {}) as Partial<{ id: unknown; body: unknown; problem: unknown }>;
    // An answer to a question that was given up is no offence.
    const asker = typeof answer.id === 'number' ? waiting.get(answer.id) : undefined;
    if (typeof answer.problem === 'string') asker?.reject(new Error(answer.problem.slice(0, 200)));
    else asker?.resolve(answer.body);
  }
}
