import type { Duplex } from 'node:stream';
import { describe, Failure, type Report } from '@drayage/core';
import type { PeerId, Stream } from '@libp2p/interface';
import { encodeMessage, readMessages } from './messages.ts';
import type { SwarmNode } from './node.ts';
import { toDuplex } from './stream.ts';

const PROTOCOL = '/drayage/control/1.0.0';
/** Questions one member may have open with another. */
const OPEN_QUESTIONS_MAX = 256;
/** What one member may ask in a second, on the average of ten. */
const QUESTIONS_PER_SECOND_MAX = 200;
const BURST_SECONDS = 10;
const STREAMS_PER_MEMBER_MAX = 4;
const OPEN_WAIT_MS = 5000;

/** Answers one kind of question of a member. What it throws is told to the member by its message alone. */
export type Answerer = (member: string, body: unknown) => Promise<unknown> | unknown;

/** Questions and answers between members, on one open stream each way. */
export interface Control extends AsyncDisposable {
  /** Throws `origin_unavailable` when the member cannot be reached, refuses, or breaks off. */
  ask(member: PeerId, kind: string, body: unknown, signal: AbortSignal): Promise<unknown>;
}

interface Question {
  readonly id: number;
  readonly kind: string;
  readonly body: unknown;
}

type Answer = { readonly id: number; readonly body: unknown } | { readonly id: number; readonly problem: string };

export interface ControlParts {
  readonly node: SwarmNode;
  readonly answerers: Readonly<Record<string, Answerer>>;
  readonly report: Report;
  readonly now: () => number;
}

export async function startControl({ node, answerers, report, now }: ControlParts): Promise<Control> {
  const lines = new Map<string, Promise<Line>>();

  await node.handle(
    PROTOCOL,
    (stream, connection) => {
      const member = connection.remotePeer.toString();
      answerAll(stream, answerers, { member, now }).catch((error: unknown) => {
        report({ kind: 'error', where: 'control', problem: `${member} was hung up on: ${describe(error)}` });
        stream.abort(error instanceof Error ? error : new Error(String(error)));
      });
    },
    { maxInboundStreams: STREAMS_PER_MEMBER_MAX },
  );

  function lineTo(member: PeerId): Promise<Line> {
    const key = member.toString();
    const known = lines.get(key);
    if (known !== undefined) return known;
    // Others may come to wait for it, so it does not end with the first.
    const signal = AbortSignal.timeout(OPEN_WAIT_MS);
    const opening = node.dialProtocol(member, PROTOCOL, { signal }).then((stream) => openLine(stream));
    lines.set(key, opening);
    const forget = () => {
      if (lines.get(key) === opening) lines.delete(key);
    };
    opening.then((line) => line.ended.then(forget), forget);
    return opening;
  }

  return {
    async ask(member, kind, body, signal) {
      try {
        return await orAbort(lineTo(member), signal).then((line) => line.ask(kind, body, signal));
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw new Failure('origin_unavailable', `member ${member} did not answer "${kind}"`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await node.unhandle(PROTOCOL);
      for (const opening of lines.values())
        await opening.then(
          (line) => line.close(),
          () => undefined,
        );
    },
  };
}

interface Line {
  readonly ended: Promise<void>;
  ask(kind: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  close(): void;
}

interface Waiting {
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The asking end of a stream. */
function openLine(stream: Stream): Line {
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
      if (waiting.size >= OPEN_QUESTIONS_MAX) throw new Error('too many questions are open with this member');
      const id = next++;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      waiting.set(id, { resolve, reject });
      duplex.write(encodeMessage({ id, kind, body } satisfies Question));
      try {
        return await orAbort(promise, signal);
      } finally {
        waiting.delete(id);
      }
    },
    close: () => duplex.destroy(),
  };
}

/** Whoever reads the stream is told of its error; nobody else needs to be. */
function told(): void {}

async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(signal.reason);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

async function takeAnswers(duplex: Duplex, waiting: ReadonlyMap<number, Waiting>): Promise<void> {
  for await (const message of readMessages(duplex)) {
    const answer = message as Partial<{ id: unknown; body: unknown; problem: unknown }>;
    // An answer to a question that was given up is no offence.
    const asker = typeof answer.id === 'number' ? waiting.get(answer.id) : undefined;
    if (typeof answer.problem === 'string') asker?.reject(new Error(answer.problem.slice(0, 200)));
    else asker?.resolve(answer.body);
  }
}

interface Caller {
  readonly member: string;
  readonly now: () => number;
}

/** The answering end. Throws at what is no question, and when the member asks too much: its stream ends with it. */
async function answerAll(
  stream: Stream,
  answerers: Readonly<Record<string, Answerer>>,
  { member, now }: Caller,
): Promise<void> {
  const duplex = toDuplex(stream).on('error', told);
  let allowance = QUESTIONS_PER_SECOND_MAX * BURST_SECONDS;
  let countedAt = now();
  for await (const message of readMessages(duplex)) {
    const elapsed = (now() - countedAt) / 1000;
    countedAt = now();
    allowance = Math.min(QUESTIONS_PER_SECOND_MAX * BURST_SECONDS, allowance + elapsed * QUESTIONS_PER_SECOND_MAX) - 1;
    if (allowance < 0) throw new Error(`it asks more than ${QUESTIONS_PER_SECOND_MAX} questions a second`);
    const { id, kind, body } = checkedQuestion(message);
    const answerer = Object.hasOwn(answerers, kind) ? answerers[kind] : undefined;
    const answer = answerer ? await attempt(id, () => answerer(member, body)) : { id, problem: 'no such question' };
    // Waiting here is the back-pressure: who does not read answers is not asked for more questions.
    if (!duplex.write(encodeMessage(answer)))
      await new Promise<void>((resolve) => duplex.once('drain', resolve).once('close', resolve));
  }
}

async function attempt(id: number, work: () => unknown): Promise<Answer> {
  try {
    return { id, body: (await work()) ?? null };
  } catch (error) {
    if (error instanceof Failure) return { id, problem: error.message };
    throw error;
  }
}

function checkedQuestion(message: unknown): Question {
  const { id, kind, body } = (message ?? {}) as Partial<Record<string, unknown>>;
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || typeof kind !== 'string')
    throw new Error('it sent what is no question');
  return { id, kind, body };
}
