import type { Duplex } from 'node:stream';
import type { Stream } from '@libp2p/interface';
import { encodeMessage, readMessages } from './messages.ts';
import { openQuestions, type Questions } from './questions.ts';
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

export function openLine(stream: Stream): Line {
  const duplex = toDuplex(stream).on('error', told);
  const questions = openQuestions();
  const end = (why: Error) => {
    duplex.destroy();
    questions.end(why);
  };
  return {
    ended: takeAnswers(duplex, questions).then(() => end(new Error('the member hung up')), end),
    async ask(kind, body, signal) {
      signal.throwIfAborted();
      if (duplex.destroyed) throw new Error('the member hung up');
      if (questions.size() >= OPEN_QUESTIONS_MAX) throw new Error('too many questions are open with this member');
      if (duplex.writableLength > UNSENT_BYTES_MAX) throw new Error('the member does not take our questions');
      return await questions.ask(kind, body, (question) => void duplex.write(encodeMessage(question)), signal);
    },
    close: () => void duplex.destroy(),
  };
}

/** Whoever reads the stream is told of its error; nobody else needs to be. */
function told(): void {}

async function takeAnswers(duplex: Duplex, questions: Questions): Promise<void> {
  for await (const { message } of readMessages(duplex)) questions.take(message);
}
