import type { TLSSocket } from 'node:tls';
import { describe } from '@drayage/core';
import { type Asked, openAsked } from './asked.ts';
import { CHANNELS_MAX, encodeFrame, FRAME, type FrameHead, HEAD_BYTES, IN_FLIGHT_SAID_MAX } from './frame.ts';
import { sinkOf } from './hearing.ts';
import { type Life, watchLife } from './life.ts';
import type { Side } from './membership.ts';
import { type Owed, openOwed } from './owed.ts';
import { type Feed, frameParser } from './parser.ts';
import { encodeHave, encodeLost, encodeOpen } from './payload.ts';
import type { Reads } from './reads.ts';
import { failureOf, LinkFailure, type LinkReason } from './reason.ts';
import { openSending, type Sending } from './sending.ts';
import type { Link, LinkHandlers, LinkParts } from './types.ts';
import { openWriter } from './writer.ts';

/** What the parts of one link share. */
export interface Inside {
  readonly parts: LinkParts;
  readonly asked: Asked;
  readonly owed: Owed;
  readonly sending: Sending;
  readonly life: Life;
  readonly signal: AbortSignal;
  readonly isBusy: () => boolean;
  /** Sends a frame before any chunk. */
  say(head: Omit<Partial<FrameHead>, 'length'> & Pick<FrameHead, 'type'>, payload?: Buffer): void;
  sayAll(frames: readonly Buffer[]): void;
}

export interface LinkBirth {
  readonly parts: LinkParts;
  readonly socket: TLSSocket;
  readonly reads: Reads;
  readonly side: Side;
  readonly member: string;
}

export interface StartedLink {
  readonly link: Link;
  /** Takes what the connection reads from now on. */
  readonly feed: Feed;
  fail(error: unknown): void;
}

/** Makes a link of a connection whose other side has proven who it is and that it belongs to the swarm. */
export function startLink(birth: LinkBirth): StartedLink {
  const { parts, socket, reads, side, member } = birth;
  const stop = new AbortController();
  const bornAt = performance.now();
  const writer = openWriter((bytes, taken) => {
    socket.write(bytes, (error) => {
      if (error) return;
      life.sent(bytes.length);
      // A ping is a head alone. What else is one gets an answer that counts.
      if (bytes.length > HEAD_BYTES) life.worked();
      taken();
    });
  });
  const say: Inside['say'] = (head, payload) => inside.sayAll([encodeFrame(head, payload)]);
  const life = watchLife({
    limits: parts.limits,
    isHeldBack: reads.isHeldBack,
    isStuck: writer.isBusy,
    ping: () => say({ type: FRAME.ping }),
    over: (reason, problem) => fail(new LinkFailure(reason, problem)),
  });
  const owed = openOwed();
  const sending = openSending({ writer, rate: parts.upload, leaving: owed.settle, signal: stop.signal });
  const inside: Inside = {
    ...{ parts, owed, sending, life, say, signal: stop.signal },
    asked: openAsked(),
    isBusy: () => writer.isBusy() && !stop.signal.aborted,
    sayAll(frames) {
      for (const frame of frames)
        if (!writer.frame(frame)) return fail(new LinkFailure('stuck', 'takes nothing of what is sent'));
    },
  };
  const link = linkOf(inside, birth, fail);
  const handlers: LinkHandlers = parts.handlersFor(link);
  parts.report({ kind: 'link_opened', member, side });
  socket.on('error', (error) => fail(new LinkFailure('broken', 'the connection broke', { cause: error })));
  socket.on('close', () => fail(new LinkFailure('left', 'the other side went')));
  return { link, feed: frameParser(sinkOf(inside, handlers)), fail };

  function fail(error: unknown): void {
    if (stop.signal.aborted) return;
    const failure = failureOf(error, 'refused', 'what it sent could not be handled');
    const { reason } = failure;
    stop.abort();
    reads.stop();
    writer.stop();
    sending.stop();
    life[Symbol.dispose]();
    socket.destroy();
    const seconds = (performance.now() - bornAt) / 1000;
    parts.report({ kind: 'link_ended', member, side, reason, problem: describe(failure), seconds });
    handlers.ended(reason);
  }
}

function linkOf(inside: Inside, { socket, side, member }: LinkBirth, fail: (error: unknown) => void): Link {
  const { asked, owed, sending, say, isBusy, life, signal } = inside;
  const channels = new Set<number>();
  const end = (reason: LinkReason) => fail(new LinkFailure(reason, 'ended by this side'));
  const answer = (type: typeof FRAME.busy | typeof FRAME.gone) => (channel: number, piece: number) => {
    if (owed.settle(channel, piece)) say({ type, channel, piece });
  };
  const gone = answer(FRAME.gone);
  return {
    ...{ member, side, isBusy, gone, end },
    ...newsOf(inside, channels),
    busy: answer(FRAME.busy),
    isOpen: () => !signal.aborted,
    rates: life.rates,
    open(digest, terms) {
      let channel = 0;
      while (channels.has(channel) || asked.isInUse(channel)) channel += 1;
      if (channel >= CHANNELS_MAX || signal.aborted) return undefined;
      say({ type: FRAME.open, channel, extra: terms.isAnswer ? 1 : 0 }, encodeOpen(digest, terms));
      channels.add(channel);
      return channel;
    },
    close(channel) {
      if (!channels.delete(channel)) return;
      asked.callOffAll(channel);
      say({ type: FRAME.close, channel });
    },
    want(want) {
      const { channel, piece, inFlight } = want;
      if (signal.aborted || !channels.has(channel) || !asked.add(want)) return false;
      say({ type: FRAME.want, channel, piece, extra: said(inFlight) });
      return true;
    },
    cancel(channel, piece) {
      if (asked.callOff(channel, piece)) say({ type: FRAME.cancel, channel, piece });
    },
    async send(outgoing) {
      const { channel, piece } = outgoing;
      if (!owed.begin(channel, piece)) return false;
      try {
        return await sending.send(outgoing);
      } catch (error) {
        gone(channel, piece);
        throw error;
      }
    },
    caught(caught) {
      if (!signal.aborted) say({ type: FRAME.caught }, Buffer.from(caught));
    },
    question(message) {
      if (!signal.aborted) say({ type: FRAME.question }, message);
    },
    answer(message) {
      if (!signal.aborted) say({ type: FRAME.answer }, message);
    },
    async [Symbol.asyncDispose]() {
      end('closed');
      if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    },
  };
}

/** What is said on a channel of this side, and asks for nothing. */
function newsOf(
  { say, sayAll }: Inside,
  channels: ReadonlySet<number>,
): Pick<Link, 'have' | 'lost' | 'offer' | 'decline'> {
  return {
    have(channel, pieces, inFlight) {
      if (channels.has(channel)) sayAll(encodeHave(channel, pieces, said(inFlight)));
    },
    lost(channel, pieces) {
      if (channels.has(channel)) sayAll(encodeLost(channel, pieces));
    },
    offer(channel, insists) {
      if (channels.has(channel)) say({ type: FRAME.offer, channel, extra: Number(insists) });
    },
    decline(channel, inFlight) {
      if (channels.has(channel)) say({ type: FRAME.decline, channel, extra: said(inFlight) });
    },
  };
}

function said(inFlight: number): number {
  return Math.min(inFlight, IN_FLIGHT_SAID_MAX);
}
