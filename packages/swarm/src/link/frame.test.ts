import { type Digest, sha256 } from '@drayage/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  CHANNELS_MAX,
  CHUNK_BYTES_MAX,
  decodeDigest,
  decodeHave,
  decodeHead,
  encodeDigest,
  encodeFrame,
  encodeHave,
  FRAME,
  type FrameHead,
  HASH_BYTES,
  HEAD_BYTES,
  PIECES_MAX,
} from './frame.ts';
import { type FrameSink, frameParser } from './parser.ts';
import { LinkFailure } from './reason.ts';

const channels = fc.nat(CHANNELS_MAX - 1);
const pieces = fc.nat(PIECES_MAX - 1);
const bytes = (most: number) => fc.uint8Array({ minLength: 1, maxLength: most }).map((array) => Buffer.from(array));

/** Any frame that makes sense. */
const frames = fc.oneof(
  fc.record({ channel: channels }).map((head) => encodeFrame({ type: FRAME.close, ...head })),
  fc
    .tuple(channels, bytes(50))
    .map(([channel, blob]) => encodeFrame({ type: FRAME.open, channel }, encodeDigest(sha256(blob)))),
  fc
    .record({ channel: channels, piece: pieces, extra: fc.nat(255) })
    .map((head) => encodeFrame({ type: FRAME.want, ...head })),
  fc
    .tuple(channels, fc.uniqueArray(pieces, { minLength: 1 }))
    .map(([channel, list]) => Buffer.concat(encodeHave(channel, list))),
  fc.tuple(channels, pieces, fc.nat(1 << 20), bytes(2000)).map(([channel, piece, offset, chunk]) => {
    const payload = offset === 0 ? Buffer.concat([Buffer.alloc(HASH_BYTES, 7), chunk]) : chunk;
    return encodeFrame({ type: FRAME.piece, channel, piece, offset }, payload);
  }),
  fc.constantFrom(FRAME.ping, FRAME.pong).map((type) => encodeFrame({ type })),
);

/** Writes down what a parser hands on, with chunks joined as their heads say. */
function scribe(wait?: () => Promise<void>): FrameSink & { heard: string[] } {
  const heard: string[] = [];
  let open = '';
  return {
    heard,
    frame(head, payload) {
      heard.push(JSON.stringify([head, payload.toString('hex')]));
    },
    chunk(head, hash) {
      open = JSON.stringify([head, hash?.toString('hex'), '']);
      heard.push(open);
      return wait?.();
    },
    bytes(part) {
      open = `${open.slice(0, -2)}${part.toString('hex')}"]`;
      heard[heard.length - 1] = open;
      return wait?.();
    },
  };
}

/** The stream in parts that end where these say. */
function cut(stream: Buffer, ends: readonly number[]): Buffer[] {
  const marks = [...new Set([0, ...ends.map((end) => end % (stream.length + 1)), stream.length])].sort((a, b) => a - b);
  return marks.slice(1).map((mark, at) => stream.subarray(marks[at], mark));
}

test('what is said is heard the same however it is cut, and however long the listener takes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frames), fc.array(fc.nat()), fc.boolean(), async (list, ends, isSlow) => {
      const stream = Buffer.concat(list);
      const whole = scribe();
      void frameParser(whole)(stream);
      const parts = scribe(isSlow ? async () => {} : undefined);
      const feed = frameParser(parts);
      for (const part of cut(stream, ends)) await feed(part);
      expect(parts.heard).toEqual(whole.heard);
      expect(whole.heard.length).toBeGreaterThanOrEqual(list.length);
    }),
  );
});

test('any bytes at all are frames within bounds, or malformed', () => {
  const noise = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array));
  // With a type that exists, the fields behind it are reached.
  const nearly = fc
    .tuple(fc.integer({ min: 2, max: 11 }), noise)
    .map(([type, rest]) => Buffer.concat([Buffer.of(type), rest]));
  // With fields that are nearly all small, so are the payloads behind them.
  const sparse = fc
    .tuple(nearly, fc.array(fc.nat(HEAD_BYTES - 1), { minLength: 8 }))
    .map(([stream, zeros]) => stream.map((byte, at) => (at > 0 && zeros.includes(at) ? 0 : byte)) as Buffer)
    .map((array) => Buffer.from(array));
  fc.assert(
    fc.property(fc.array(frames, { maxLength: 3 }), fc.oneof(noise, nearly, sparse), (before, last) => {
      let handedOn = 0;
      const stream = Buffer.concat([...before, last]);
      const feed = frameParser({
        frame(head, payload) {
          handedOn += HEAD_BYTES + payload.length;
          if (head.type === FRAME.open) expect(decodeDigest(payload)).toMatch(/^sha(256|512):[0-9a-f]+$/);
          if (head.type === FRAME.have)
            for (const piece of decodeHave(head, payload)) expect(piece).toBeLessThan(PIECES_MAX);
        },
        chunk(head, hash) {
          expect(hash?.length).toBe(head.offset === 0 ? HASH_BYTES : undefined);
          expect(head.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX + HASH_BYTES);
          handedOn += HEAD_BYTES + (hash?.length ?? 0);
          return undefined;
        },
        bytes(part) {
          handedOn += part.length;
          return undefined;
        },
      });
      try {
        void feed(stream);
      } catch (error) {
        if (!(error instanceof LinkFailure)) throw error;
        expect(error.reason).toBe('malformed');
      }
      expect(handedOn).toBeLessThanOrEqual(stream.length);
    }),
    { numRuns: 1000 },
  );
});

test('a list of pieces says exactly these pieces', () => {
  const near = fc
    .tuple(fc.nat(1000), fc.uniqueArray(fc.nat(5000)))
    .map(([first, list]) => list.map((piece) => first + piece));
  fc.assert(
    fc.property(channels, fc.oneof(fc.uniqueArray(pieces), near), (channel, list) => {
      const said: number[] = [];
      void frameParser({
        ...scribe(),
        frame(head: FrameHead, payload) {
          expect(head.channel).toBe(channel);
          said.push(...decodeHave(head, payload));
        },
      })(Buffer.concat(encodeHave(channel, list)));
      expect(said).toEqual(list.toSorted((one, other) => one - other));
    }),
  );
});

test('heads and digests come back as they were', () => {
  fc.assert(
    fc.property(channels, pieces, fc.nat(255), (channel, piece, extra) => {
      const head = { type: FRAME.want, channel, piece, extra };
      expect(decodeHead(encodeFrame(head))).toEqual({ ...head, offset: 0, length: 0 });
    }),
  );
  for (const digest of [sha256(Buffer.alloc(3)), `sha512:${'0f'.repeat(64)}` satisfies Digest])
    expect(decodeDigest(encodeDigest(digest))).toBe(digest);
});
