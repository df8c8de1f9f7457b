import { type Digest, sha256 } from '@drayage/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  CHANNELS_MAX,
  CHUNK_BYTES_MAX,
  decodeHead,
  encodeFrame,
  FRAME,
  type FrameHead,
  HEAD_BYTES,
  IN_FLIGHT_SAID_MAX,
  PIECES_MAX,
} from './frame.ts';
import { type FrameSink, frameParser } from './parser.ts';
import { decodeOpen, decodePieces, encodeHave, encodeLost, encodeOpen } from './payload.ts';
import { LinkFailure } from './reason.ts';
import { ATTESTATION_BYTES } from './types.ts';

const channels = fc.nat(CHANNELS_MAX - 1);
const pieces = fc.nat(PIECES_MAX - 1);
const counts = fc.nat(IN_FLIGHT_SAID_MAX);
const bytes = (most: number) => fc.uint8Array({ minLength: 1, maxLength: most }).map((array) => Buffer.from(array));

const digests = fc
  .tuple(fc.boolean(), bytes(50))
  .map(([isLong, blob]): Digest => (isLong ? `sha512:${'0f'.repeat(64)}` : sha256(blob)));
const terms = fc
  .record({
    zone: fc.option(fc.stringMatching(/^[a-zA-Z0-9._-]{1,64}$/), { nil: undefined }),
    size: fc.nat(2 ** 40),
  })
  .map(({ size, ...told }) => (size > 0 ? { ...told, size } : told));

/** Any frame that makes sense. */
const frames = fc.oneof(
  fc.record({ channel: channels }).map((head) => encodeFrame({ type: FRAME.close, ...head })),
  fc
    .tuple(channels, digests, terms)
    .map(([channel, digest, said]) => encodeFrame({ type: FRAME.open, channel }, encodeOpen(digest, said))),
  fc
    .record({ channel: channels, piece: pieces, extra: counts })
    .map((head) => encodeFrame({ type: FRAME.want, ...head })),
  fc
    .tuple(channels, fc.uniqueArray(pieces), counts)
    .map(([channel, list, inFlight]) => Buffer.concat(encodeHave(channel, list, inFlight))),
  fc
    .tuple(channels, fc.uniqueArray(pieces, { minLength: 1 }))
    .map(([channel, list]) => Buffer.concat(encodeLost(channel, list))),
  fc.record({ channel: channels, extra: fc.nat(1) }).map((head) => encodeFrame({ type: FRAME.offer, ...head })),
  fc.record({ channel: channels, extra: counts }).map((head) => encodeFrame({ type: FRAME.decline, ...head })),
  fc.tuple(channels, pieces, fc.nat(1 << 20), bytes(2000)).map(([channel, piece, offset, chunk]) => {
    const payload = offset === 0 ? Buffer.concat([Buffer.alloc(ATTESTATION_BYTES, 7), chunk]) : chunk;
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
    chunk(head, attestation) {
      open = JSON.stringify([head, attestation?.toString('hex'), '']);
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
    .tuple(fc.integer({ min: 2, max: 14 }), noise)
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
          if (head.type === FRAME.open) {
            const { digest, terms } = decodeOpen(payload);
            expect(digest).toMatch(/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/);
            expect(terms.zone ?? 'none').toMatch(/^[a-zA-Z0-9._-]{1,64}$/);
          }
          if (head.type === FRAME.have || head.type === FRAME.lost)
            for (const piece of decodePieces(head, payload)) expect(piece).toBeLessThan(PIECES_MAX);
        },
        chunk(head, attestation) {
          expect(attestation?.length).toBe(head.offset === 0 ? ATTESTATION_BYTES : undefined);
          expect(head.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX + ATTESTATION_BYTES);
          handedOn += HEAD_BYTES + (attestation?.length ?? 0);
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
    fc.property(channels, fc.oneof(fc.uniqueArray(pieces), near), fc.option(counts), (channel, list, inFlight) => {
      const said: number[] = [];
      const frames = inFlight === null ? encodeLost(channel, list) : encodeHave(channel, list, inFlight);
      void frameParser({
        ...scribe(),
        frame(head: FrameHead, payload) {
          expect([head.channel, head.offset]).toEqual([channel, inFlight ?? 0]);
          said.push(...decodePieces(head, payload));
        },
      })(Buffer.concat(frames));
      expect(frames.length > 0).toBe(list.length > 0 || inFlight !== null);
      expect(said).toEqual(list.toSorted((one, other) => one - other));
    }),
  );
});

test('heads, digests and terms come back as they were', () => {
  fc.assert(
    fc.property(channels, pieces, counts, (channel, piece, extra) => {
      const head = { type: FRAME.want, channel, piece, extra };
      expect(decodeHead(encodeFrame(head))).toEqual({ ...head, offset: 0, length: 0 });
    }),
  );
  fc.assert(
    fc.property(digests, terms, (digest, said) => {
      expect(decodeOpen(encodeOpen(digest, said))).toEqual({ digest, terms: said });
    }),
  );
});

test('a zone that cannot be one is not told', () => {
  const zones = ['a b', 'é', 'z'.repeat(65)];
  for (const zone of zones) expect(() => encodeOpen(sha256(Buffer.alloc(3)), { zone })).toThrow('no name of a zone');
});
