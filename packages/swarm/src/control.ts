import type { Duplex } from 'node:stream';
import { describe, Failure, orAbort, type Report } from '@drayage/core';
import type { Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { pipe } from 'it-pipe';
import { type Allowances, keepAllowances } from './allowance.ts';
import { type Line, openLine } from './line.ts';
import type { LinkLines } from './link-lines.ts';
import { encodeMessage, type ReadMessage, readMessages } from './messages.ts';
import type { SwarmNode } from './node.ts';
import type { Presence } from './presence.ts';
import { type Answer, checkedQuestion, type Question, turnsOfOthers } from './questions.ts';
import { sparingly } from './sparing.ts';
import { toDuplex } from './stream.ts';
import { turns } from './turns.ts';

const PROTOCOL = '/drayage/control/1.0.0';
/** What one member may ask in a second, on the average of ten. */
const QUESTIONS_PER_SECOND_MAX = 200;
const QUESTION_BYTES_PER_SECOND_MAX = 4 * 1024 * 1024;
const BURST_SECONDS = 10;
const STREAMS_PER_MEMBER_MAX = 4;
const OPEN_WAIT_MS = 5000;
/** Below what libp2p dials at once: it refuses what does not fit its queue. */
const OPENINGS_AT_ONCE = 64;
/** A question given up sooner says nothing about the member. */
const DOUBT_AFTER_MS = 100;

/** Answers one kind of question of a member. What it throws is told to the member by its message alone. */
export type Answerer = (member: string, body: unknown) => Promise<unknown> | unknown;

/** Questions and answers between members: on the link between them, else on one open stream each way. */
export interface Control extends AsyncDisposable {
  /** Throws `member_unreachable` when the member cannot be reached, refuses, or breaks off: at once when it is known to be away. */
  ask(member: string, kind: string, body: unknown, signal: AbortSignal): Promise<unknown>;
}

export interface ControlParts {
  readonly node: SwarmNode;
  readonly presence: Pick<Presence, 'isAway' | 'doubt'>;
  readonly answerers: Readonly<Record<string, Answerer>>;
  /** Questions and answers on links; a swarm without links has none. */
  readonly lines?: LinkLines;
  /** Told of each member that is asked something. */
  readonly asked?: (member: string) => void;
  readonly report: Report;
  readonly now: () => number;
}

export async function startControl({
  node,
  presence,
  answerers,
  lines: onLinks,
  asked = () => {},
  report,
  now,
}: ControlParts): Promise<Control> {
  const streamsOut = keepStreams(node);
  const isNews = sparingly(now);
  const bounded = (perSecond: number) => keepAllowances({ perSecond, most: perSecond * BURST_SECONDS, now });
  const limits = { questions: bounded(QUESTIONS_PER_SECOND_MAX), bytes: bounded(QUESTION_BYTES_PER_SECOND_MAX) };
  const hungUp = (member: string, error: unknown) => {
    if (isNews(member))
      report({ kind: 'error', where: 'control', problem: `${member} was hung up on: ${describe(error)}` });
  };
  onLinks?.answerWith(async (member, question, bytes) => {
    try {
      checkAsking({ member, limits }, bytes);
      return await answerTo(question, answerers, member);
    } catch (error) {
      hungUp(member, error);
      throw error;
    }
  });

  const streams = new Map<string, number>();
  const count = (member: string, change: number) => {
    const open = (streams.get(member) ?? 0) + change;
    if (open > 0) streams.set(member, open);
    else streams.delete(member);
    return open;
  };
  await node.handle(
    PROTOCOL,
    (stream, connection) => {
      const member = connection.remotePeer.toString();
      stream.addEventListener('close', () => void count(member, -1), { once: true });
      // libp2p's own bound is for each connection, and a member may have many: what we hold unread of each would add up.
      if (count(member, 1) > STREAMS_PER_MEMBER_MAX) {
        stream.abort(new Error('too many streams of one member'));
        return;
      }
      answerAll(stream, answerers, { member, limits }).catch((error: unknown) => {
        hungUp(member, error);
        stream.abort(error instanceof Error ? error : new Error(String(error)));
      });
    },
    { maxInboundStreams: STREAMS_PER_MEMBER_MAX },
  );

  return {
    async ask(member, kind, body, signal) {
      const askedAt = now();
      asked(member);
      try {
        if (presence.isAway(member)) throw new Error('it is not connected');
        const answer = await onLinks?.ask(member, kind, body, signal);
        if (answer) return answer.body;
        const line = await orAbort(streamsOut.to(member), signal);
        return await line.ask(kind, body, signal);
      } catch (error) {
        if (signal.aborted && now() - askedAt >= DOUBT_AFTER_MS) presence.doubt(member);
        if (signal.aborted) throw signal.reason;
        throw new Failure('member_unreachable', `member ${member} did not answer "${kind}"`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await node.unhandle(PROTOCOL);
      await streamsOut.close();
    },
  };
}

/** The control streams that this host opened, one to a member. */
function keepStreams(node: SwarmNode): { to(member: string): Promise<Line>; close(): Promise<void> } {
  const lines = new Map<string, Promise<Line>>();
  const opening = turns(OPENINGS_AT_ONCE);
  return {
    to(member) {
      const known = lines.get(member);
      if (known !== undefined) return known;
      // Others may come to wait for it, so it does not end with the first.
      const dial = () =>
        node.dialProtocol(peerIdFromString(member), PROTOCOL, { signal: AbortSignal.timeout(OPEN_WAIT_MS) });
      const line = opening(dial).then(openLine);
      lines.set(member, line);
      const forget = () => {
        if (lines.get(member) === line) lines.delete(member);
      };
      line.then(({ ended }) => ended.then(forget), forget);
      return line;
    },
    async close() {
      const closing = [...lines.values()].map((line) =>
        line.then(
          ({ close }) => close(),
          () => undefined,
        ),
      );
      await Promise.all(closing);
    },
  };
}

interface Caller {
  readonly member: string;
  readonly limits: { readonly questions: Allowances; readonly bytes: Allowances };
}

/** The answering end. Throws at what is no question, and when the member asks too much: its stream ends with it. */
async function answerAll(stream: Stream, answerers: Readonly<Record<string, Answerer>>, caller: Caller): Promise<void> {
  let lost: Error | undefined;
  const duplex = toDuplex(stream).on('error', (error) => {
    lost = error;
  });
  try {
    await pipe(
      () => readMessages(duplex),
      (questions) => answersTo(questions, answerers, caller),
      (answers) => writeAll(answers, duplex),
    );
  } catch (error) {
    // A connection that ends is no offence.
    if (error !== lost) throw error;
  }
}

async function* answersTo(
  questions: AsyncIterable<ReadMessage>,
  answerers: Readonly<Record<string, Answerer>>,
  caller: Caller,
): AsyncGenerator<Answer> {
  const others = turnsOfOthers();
  for await (const { message, bytes } of questions) {
    checkAsking(caller, bytes);
    yield await answerTo(checkedQuestion(message), answerers, caller.member);
    await others();
  }
}

/** Throws when the member asks too much. */
function checkAsking({ member, limits }: Caller, bytes: number): void {
  if (!limits.questions.take(member, 1))
    throw new Error(`it asks more than ${QUESTIONS_PER_SECOND_MAX} questions a second`);
  if (!limits.bytes.take(member, bytes))
    throw new Error(`it asks more than ${QUESTION_BYTES_PER_SECOND_MAX} bytes of questions a second`);
}

/** Waiting here is the back-pressure: who does not read answers is not asked for more questions. */
async function writeAll(answers: AsyncIterable<Answer>, to: Duplex): Promise<void> {
  for await (const answer of answers) {
    if (to.write(encodeMessage(answer))) continue;
    await new Promise<void>((resolve) => to.once('drain', resolve).once('close', resolve));
  }
  to.end();
}

async function answerTo(
  { id, kind, body }: Question,
  answerers: Readonly<Record<string, Answerer>>,
  member: string,
): Promise<Answer> {
  const answerer = Object.hasOwn(answerers, kind) ? answerers[kind] : undefined;
  if (answerer === undefined) return { id, problem: 'no such question' };
  try {
    return { id, body: (await answerer(member, body)) ?? null };
  } catch (error) {
    if (error instanceof Failure) return { id, problem: error.message };
    throw error;
  }
}
