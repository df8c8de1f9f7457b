import { QUESTION_BYTES_MAX } from './link/frame.ts';
import { LinkFailure } from './link/reason.ts';
import type { Link } from './link/types.ts';
import { type Answer, checkedQuestion, ELSEWHERE, openQuestions, type Question, type Questions } from './questions.ts';

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
interface Talk {
  readonly asked: Questions;
  readonly unanswered: { readonly question: Question; readonly bytes: number }[];
  isAnswering: boolean;
}

export function openLinkLines(linkTo: (member: string) => Link | undefined): LinkLines {
  const talks = new Map<Link, Talk>();
  let answering: Answering = async (_member, { id }) => ({ id, isElsewhere: true });

  function talkOn(link: Link): Talk {
    const talk = talks.get(link) ?? { asked: openQuestions(), unanswered: [], isAnswering: false };
    talks.set(link, talk);
    return talk;
  }

  async function answerAll(link: Link, talk: Talk): Promise<void> {
    if (talk.isAnswering) return;
    talk.isAnswering = true;
    for (let next = talk.unanswered[0]; next && link.isOpen(); next = talk.unanswered[0]) {
      const answer = await answering(link.member, next.question, next.bytes);
      const payload = encode(answer);
      const isShort = payload.length <= QUESTION_BYTES_MAX;
      link.answer(isShort ? payload : encode({ id: answer.id, isElsewhere: true }));
      talk.unanswered.shift();
    }
    talk.isAnswering = false;
  }

  return {
    async ask(member, kind, body, signal) {
      const link = linkTo(member);
      if (!link) return undefined;
      const { asked } = talkOn(link);
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
      const talk = talkOn(link);
      if (talk.unanswered.length >= OPEN_QUESTIONS_MAX)
        throw new LinkFailure('excess', 'asks without waiting for answers');
      talk.unanswered.push({ question, bytes: payload.length });
      answerAll(link, talk).catch(() => link.end('refused'));
    },
    answered: (link, payload) => talks.get(link)?.asked.take(decode(payload, (message) => message)),
    ended(link) {
      talks.get(link)?.asked.end(ELSEWHERE);
      talks.delete(link);
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
