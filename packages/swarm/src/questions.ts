import { setImmediate } from 'node:timers/promises';
import { orAbort } from '@drayage/core';

export interface Question {
  readonly id: number;
  readonly kind: string;
  readonly body: unknown;
}

/** Elsewhere: over the control stream, where messages may be long. */
export type Answer = { readonly id: number } & (
  | { readonly body: unknown }
  | { readonly problem: string }
  | { readonly isElsewhere: true }
);

/** Questions asked of one member that have no answer yet. */
export interface Questions {
  size(): number;
  /** Hands the question to `send` and waits. Throws `ELSEWHERE` when it has to be asked over the control stream. */
  ask(kind: string, body: unknown, send: (question: Question) => void, signal: AbortSignal): Promise<unknown>;
  /** What the member answers, whatever it is. */
  take(message: unknown): void;
  /** No answer comes any more. */
  end(why: Error): void;
}

export const ELSEWHERE: Error = new Error('this has to be asked over the control stream');
const PROBLEM_CHARS_MAX = 200;
/** Answering one member goes on for this long before others have their turn. */
const TURN_MS = 4;

export function openQuestions(): Questions {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let next = 0;
  return {
    size: () => waiting.size,
    async ask(kind, body, send, signal) {
      signal.throwIfAborted();
      const id = next++;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(id, answer);
      try {
        send({ id, kind, body });
        return await orAbort(answer.promise, signal);
      } finally {
        waiting.delete(id);
      }
    },
    take(message) {
      const { id, body, problem, isElsewhere } = (message ?? {}) as Partial<Record<string, unknown>>;
      // An answer to a question that was given up is no offence.
      const asker = typeof id === 'number' ? waiting.get(id) : undefined;
      if (typeof problem === 'string') asker?.reject(new Error(problem.slice(0, PROBLEM_CHARS_MAX)));
      else if (isElsewhere === true) asker?.reject(ELSEWHERE);
      else asker?.resolve(body);
    },
    end(why) {
      for (const { reject } of waiting.values()) reject(why);
      waiting.clear();
    },
  };
}

/** To be awaited after each answer to a member: others have their turn when it is time. */
export function turnsOfOthers(): () => Promise<void> {
  let endsAt = performance.now() + TURN_MS;
  return async () => {
    if (performance.now() < endsAt) return;
    await setImmediate();
    endsAt = performance.now() + TURN_MS;
  };
}

/** Throws when it is no question. */
export function checkedQuestion(message: unknown): Question {
  const { id, kind, body } = (message ?? {}) as Partial<Record<string, unknown>>;
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || typeof kind !== 'string')
    throw new Error('it sent what is no question');
  return { id, kind, body };
}
