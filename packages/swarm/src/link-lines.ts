import { QUESTION_BYTES_MAX } from './link/frame.ts';
import { LinkFailure } from './link/reason.ts';
import type { Link } from './link/types.ts';
import {
  type Answer,
  checkedQuestion,
  ELSEWHERE,
  openQuestions,
  type Question,
  type Questions,
  turnsOfOthers,
} from './questions.ts';

/** Questions open at a time on one link, each way: whoever has more asks over the control stream. */
const OPEN_QUESTIONS_MAX = 64;

/** Answers a member's question of so many bytes. What this throws ends the link. */
type Answering = (member: string, question: Question, bytes: number) => Promise<Answer>;

/**
 * Questions and answers on the links that there are: a message takes a small part of what it takes over libp2p, and members
 * that exchange pieces exchange most of the questions. All else goes over the control stream, and nothing needs a link.
 */
export interface LinkLines {
  /** Undefined when the member has to be asked over the control stream: without a link, or when it ends, or at length. */
  ask(
    member: string,
    kind: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ readonly body: unknown } | undefined>;
  /** Questions that come before this are sent to the control stream. */
  answerWith(answering: Answering): void;
  questioned(link: Link, payload: Buffer): void;
  answered(link: Link, payload: Buffer): void;
  ended(link: Link): void;
}

/** What is open on one link. */
interface Pending {
  readonly asked: Questions;
  readonly unanswered: { readonly question: Question; readonly bytes: number }[];
  isAnswering: boolean;
}

export function openLinkLines(linkTo: (member: string) => Link | undefined): LinkLines {
  const links = new Map<Link, Pending>();
  let answering: Answering = async (_member, { id }) => ({ id, isElsewhere: true });

  function pendingOn(link: Link): Pending {
    const pending = links.get(link) ?? { asked: openQuestions(), unanswered: [], isAnswering: false };
    links.set(link, pending);
    return pending;
  }

  async function answerAll(link: Link, pending: Pending): Promise<void> {
    if (pending.isAnswering) return;
    pending.isAnswering = true;
    const others = turnsOfOthers();
    for (let next = pending.unanswered[0]; next && link.isOpen(); next = pending.unanswered[0]) {
      const answer = await answering(link.member, next.question, next.bytes);
      const payload = encode(answer);
      const isShort = payload.length <= QUESTION_BYTES_MAX;
      link.answer(isShort ? payload : encode({ id: answer.id, isElsewhere: true }));
      pending.unanswered.shift();
      await others();
    }
    pending.isAnswering = false;
  }

  return {
    async ask(member, kind, body, signal) {
      const link = linkTo(member);
      if (!link) return undefined;
      const { asked } = pendingOn(link);
      if (asked.size() >= OPEN_QUESTIONS_MAX) return undefined;
      const send = (question: Question) => {
        const payload = encode(question);
        if (payload.length > QUESTION_BYTES_MAX) throw ELSEWHERE;
        link.question(payload);
      };
      try {
        return { body: await asked.ask(kind, body, send, signal) };
      } catch (error) {
        if (error === ELSEWHERE) return undefined;
        throw error;
      }
    },
    answerWith(given) {
      answering = given;
    },
    questioned(link, payload) {
      const question = decode(payload, checkedQuestion);
      const pending = pendingOn(link);
      if (pending.unanswered.length >= OPEN_QUESTIONS_MAX)
        throw new LinkFailure('excess', 'asks without waiting for answers');
      pending.unanswered.push({ question, bytes: payload.length });
      answerAll(link, pending).catch(() => link.end('refused'));
    },
    answered: (link, payload) => links.get(link)?.asked.take(decode(payload, (message) => message)),
    ended(link) {
      links.get(link)?.asked.end(ELSEWHERE);
      links.delete(link);
    },
  };
}

function encode(message: Question | Answer): Buffer {
  return Buffer.from(JSON.stringify(message));
}

/** Throws `malformed` when it is no JSON, or not what it is checked for. */
function decode<T>(payload: Buffer, check: (message: unknown) => T): T {
  try {
    return check(JSON.parse(payload.toString()));
  } catch (error) {
    throw new LinkFailure('malformed', 'sent what is no question and no answer', { cause: error });
  }
}
