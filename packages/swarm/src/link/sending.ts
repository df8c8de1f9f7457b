import type { Rate } from '@drayage/core';
import { CHUNK_BYTES_MAX, FRAME, HEAD_BYTES, keyOf, writeHead } from './frame.ts';
import { ATTESTATION_BYTES, type Outgoing } from './types.ts';
import type { Writer } from './writer.ts';

/** The pieces that a link is sending, a chunk of each in turn. */
export interface Sending {
  /** True when the connection has taken the whole piece, false when it was called off; throws what reading it threw. */
  send(outgoing: Outgoing): Promise<boolean>;
  /** Sends no more of a piece, unless its end is on the connection already. */
  callOff(channel: number, piece: number): void;
  stop(): void;
}

export interface SendingParts {
  readonly writer: Writer;
  readonly rate: Rate | undefined;
  /** Called when the end of a piece goes to the connection: from then on it can be asked for again. */
  readonly leaving: (channel: number, piece: number) => void;
  readonly signal: AbortSignal;
}

/** While the connection takes one, the next is read. */
const BUFFERS_MAX = 2;
/** Room for the head and the attestation before a chunk, so that all three go out as one. */
const LEAD_BYTES: number = HEAD_BYTES + ATTESTATION_BYTES;

interface Turn {
  readonly outgoing: Outgoing;
  sentBytes: number;
  isOff: boolean;
  readonly end: PromiseWithResolvers<boolean>;
}

interface FilledBuffer {
  /** Where in the buffer the frame begins and ends. */
  readonly start: number;
  readonly end: number;
  readonly isLast: boolean;
}

export function openSending(parts: SendingParts): Sending {
  const { writer, leaving, signal } = parts;
  const live = new Map<number, Turn>();
  const queue: Turn[] = [];
  const buffers = ring();
  let isReading = false;

  return {
    async send(outgoing) {
      if (signal.aborted) return false;
      const { length } = outgoing.attestation;
      if (length !== ATTESTATION_BYTES) throw new Error(`a piece with an attestation of ${length} bytes`);
      const key = keyOf(outgoing.channel, outgoing.piece);
      const turn: Turn = { outgoing, sentBytes: 0, isOff: false, end: Promise.withResolvers() };
      live.set(key, turn);
      queue.push(turn);
      void fill();
      return await turn.end.promise.finally(() => live.get(key) === turn && live.delete(key));
    },
    callOff(channel, piece) {
      const turn = live.get(keyOf(channel, piece));
      if (turn) callOff(turn);
    },
    stop() {
      for (const turn of live.values()) callOff(turn);
    },
  };

  function callOff(turn: Turn): void {
    turn.isOff = true;
    turn.end.resolve(false);
  }

  function leave(turn: Turn): void {
    const { channel, piece } = turn.outgoing;
    live.delete(keyOf(channel, piece));
    leaving(channel, piece);
  }

  /** While the connection takes some chunks, the next is read. A buffer is used again when the connection is done with it. */
  async function fill(): Promise<void> {
    if (isReading) return;
    isReading = true;
    for (let turn = queue[0]; turn !== undefined && !signal.aborted; turn = queue[0]) {
      const buffer = buffers.take();
      if (buffer === undefined) break;
      queue.shift();
      const filled = await fillBuffer(turn, buffer, parts);
      if (filled === undefined) buffers.give(buffer);
      else handOver(turn, buffer, filled);
    }
    isReading = false;
  }

  function handOver(turn: Turn, buffer: Buffer, { start, end, isLast }: FilledBuffer): void {
    if (!isLast) queue.push(turn);
    writer.chunk({
      bytes: buffer.subarray(start, end),
      start() {
        if (turn.isOff) return false;
        if (isLast) leave(turn);
        return true;
      },
      done(isTaken) {
        buffers.give(buffer);
        if (isLast) turn.end.resolve(isTaken);
        void fill();
      },
    });
  }
}

function ring(): { take(): Buffer | undefined; give(buffer: Buffer): void } {
  const free: Buffer[] = [];
  let made = 0;
  return {
    take() {
      if (free.length > 0 || made === BUFFERS_MAX) return free.pop();
      made += 1;
      return Buffer.allocUnsafeSlow(LEAD_BYTES + CHUNK_BYTES_MAX);
    },
    give: (buffer) => void free.push(buffer),
  };
}

/** Reads the next chunk of a piece, its frame around it. Undefined when there is none, which its sender has been told. */
async function fillBuffer(turn: Turn, buffer: Buffer, parts: SendingParts): Promise<FilledBuffer | undefined> {
  const { outgoing, sentBytes: offset } = turn;
  const { channel, piece, length, attestation } = outgoing;
  const most = Math.min(CHUNK_BYTES_MAX, length - offset);
  try {
    if (parts.rate && !turn.isOff) await parts.rate.take(most, parts.signal);
    if (turn.isOff) return undefined;
    const count = await outgoing.read(buffer.subarray(LEAD_BYTES, LEAD_BYTES + most), offset);
    if (!(count >= 1 && count <= most)) throw new Error(`a read of ${most} bytes gave ${count}`);
    turn.sentBytes += count;
    const isFirst = offset === 0;
    const start = isFirst ? 0 : ATTESTATION_BYTES;
    const payload = isFirst ? ATTESTATION_BYTES + count : count;
    writeHead(buffer, start, { type: FRAME.piece, channel, piece, offset, length: payload });
    if (isFirst) attestation.copy(buffer, HEAD_BYTES);
    return { start, end: LEAD_BYTES + count, isLast: turn.sentBytes === length };
  } catch (error) {
    turn.isOff = true;
    turn.end.reject(error);
    return undefined;
  }
}
