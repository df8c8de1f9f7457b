import { openAllowance } from './allowance.ts';
import { FRAME, type FrameHead, HEAD_BYTES } from './frame.ts';
import type { Inside } from './link.ts';
import type { FrameSink } from './parser.ts';
import { decodeCaught, decodeOpen, decodePieces, talkOf } from './payload.ts';
import type { LinkHandlers } from './types.ts';

/** A chunk that brings less is talk: a piece can be cut into millions of them. */
const USEFUL_CHUNK_BYTES = 4096;

/** Checks what the other side says against what was said before, and tells the handlers. */
export function sinkOf(inside: Inside, handlers: LinkHandlers): FrameSink {
  const { parts, asked, life, signal } = inside;
  const { download } = parts;
  const hear = hearingOf(inside, handlers);
  const spend = openAllowance(parts.limits, () => performance.now());
  return {
    frame(head, payload) {
      if (signal.aborted) return;
      spend(talkOf(head));
      life.heard(payload.length);
      if (head.type !== FRAME.ping && head.type !== FRAME.pong) life.worked();
      hear[head.type]?.(head, payload);
    },
    chunk(head, attestation) {
      if (signal.aborted) return undefined;
      if (head.length < USEFUL_CHUNK_BYTES) spend(HEAD_BYTES);
      life.worked();
      asked.chunk(head, attestation);
      return download?.take(head.length, signal);
    },
    bytes(bytes) {
      if (signal.aborted) return undefined;
      life.heard(bytes.length);
      const part = asked.bytes(bytes);
      return part && handlers.arrived(part);
    },
  };
}

type Hearing = { readonly [type: number]: (head: FrameHead, payload: Buffer) => void };

function hearingOf({ asked, owed, sending, life, say }: Inside, handlers: LinkHandlers): Hearing {
  const callOff = (channel: number, piece: number) => {
    // The end of a piece that is on its way answers the want, so that there is nothing to call off.
    if (!owed.settle(channel, piece)) return;
    sending.callOff(channel, piece);
    say({ type: FRAME.gone, channel, piece });
    handlers.cancelled(channel, piece);
  };
  return {
    [FRAME.open]({ channel, extra }, payload) {
      const { digest, terms } = decodeOpen(payload);
      owed.open(channel);
      handlers.opened(channel, digest, extra === 1 ? { ...terms, isAnswer: true } : terms);
    },
    [FRAME.close]({ channel }) {
      for (const piece of owed.close(channel)) callOff(channel, piece);
      handlers.closed(channel);
    },
    [FRAME.have](head, payload) {
      owed.check(head.channel);
      handlers.has(head.channel, decodePieces(head, payload), head.offset);
    },
    [FRAME.lost](head, payload) {
      owed.check(head.channel);
      handlers.lost(head.channel, decodePieces(head, payload));
    },
    [FRAME.offer]({ channel, extra }) {
      owed.check(channel);
      handlers.offered(channel, extra === 1);
    },
    [FRAME.decline]({ channel, extra }) {
      owed.check(channel);
      handlers.declined(channel, extra);
    },
    [FRAME.want]({ channel, piece, extra }) {
      owed.want(channel, piece);
      handlers.wants({ channel, piece, inFlight: extra });
    },
    [FRAME.cancel]({ channel, piece }) {
      owed.check(channel);
      callOff(channel, piece);
    },
    [FRAME.busy]({ channel, piece }) {
      if (asked.refused(channel, piece)) handlers.isBusy(channel, piece);
    },
    [FRAME.gone]({ channel, piece }) {
      if (asked.refused(channel, piece)) handlers.isGone(channel, piece);
    },
    [FRAME.caught]: (_head, payload) => handlers.caught(decodeCaught(payload)),
    [FRAME.question]: (_head, payload) => handlers.questioned(payload),
    [FRAME.answer]: (_head, payload) => handlers.answered(payload),
    [FRAME.ping]: () => say({ type: FRAME.pong }),
    [FRAME.pong]: () => life.answered(),
  };
}
