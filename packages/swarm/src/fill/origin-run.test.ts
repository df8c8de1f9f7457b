import { randomBytes } from 'node:crypto';
import { Failure, planPieces, type Remote, sha256 } from '@drayage/core';
import { fakeRemote } from '@drayage/core/testing';
import type { MemberEvent } from '@drayage/exchange';
import { expect, test } from 'vitest';
import { pieceBuffers } from './buffers.ts';
import { never } from './fake-hosts.ts';
import { fetchRun } from './origin-run.ts';
import { keepStories } from './story.ts';

const SIZE = 1_000_000;
const PLAN = planPieces(SIZE);
const BLOB = randomBytes(SIZE);
const DIGEST = sha256(BLOB);
const RUN = { start: 1, end: 3 };

interface Outcome {
  readonly isWhole: boolean;
  readonly events: readonly MemberEvent[];
  readonly failures: readonly unknown[];
  readonly story: ReturnType<ReturnType<typeof keepStories>['of']>[number] | undefined;
}

async function run(remote: Remote, signal: AbortSignal = never): Promise<Outcome> {
  const events: MemberEvent[] = [];
  const failures: unknown[] = [];
  const buffers = pieceBuffers();
  const stories = keepStories(
    () => 0,
    () => undefined,
  );
  const isWhole = await fetchRun(
    {
      ...{ digest: DIGEST, plan: PLAN, remote, buffers, now: () => 0, arrived: () => {} },
      story: stories.begin({ digest: DIGEST, size: SIZE, origin: 'o.example', diskBytes: 0 }),
      step: (event) => void events.push(event),
      hand(whole, tell) {
        tell();
        expect(
          whole.bytes.equals(BLOB.subarray(whole.piece * PLAN.pieceBytes, (whole.piece + 1) * PLAN.pieceBytes)),
        ).toBe(true);
        buffers.give(whole.bytes);
        return false;
      },
      room: async () => {},
      failed: (error) => void failures.push(error),
    },
    RUN,
    signal,
  );
  // Whatever happened, no buffer is kept.
  expect(buffers.inUseBytes()).toBe(0);
  return { isWhole, events, failures, story: stories.of(DIGEST)[0] };
}

/** An origin that sends these chunks, and then does something. */
function sending(chunks: readonly Uint8Array[], after: () => void | Promise<void> = () => {}): Remote {
  return {
    origin: 'o.example',
    stat: async () => SIZE,
    async *read() {
      yield* chunks;
      await after();
    },
  };
}

const body = BLOB.subarray(PLAN.pieceBytes, 3 * PLAN.pieceBytes);
const fail = (error: Error) => () => {
  throw error;
};
const pieces = (events: readonly MemberEvent[]) =>
  events.filter(({ kind }) => kind === 'origin arrived').map((event) => 'piece' in event && event.piece);

test('the pieces of a run come over one connection', async () => {
  const { isWhole, events, failures, story } = await run(fakeRemote(new Map([[DIGEST, BLOB]])));
  expect(isWhole).toBe(true);
  expect(pieces(events)).toEqual([1, 2]);
  expect(failures).toEqual([]);
  expect(story?.fromOrigin).toEqual({ bytes: 2 * PLAN.pieceBytes, requests: 1, failures: 0 });
});

test('chunks of any size make pieces', async () => {
  const odd = Array.from({ length: Math.ceil(body.length / 77_777) }, (_, at) =>
    body.subarray(at * 77_777, (at + 1) * 77_777),
  );
  expect(pieces((await run(sending(odd))).events)).toEqual([1, 2]);
  expect(pieces((await run(sending([body]))).events)).toEqual([1, 2]);
  expect(pieces((await run(sending([Buffer.alloc(0), body]))).events)).toEqual([1, 2]);
});

test('an origin that ends early has failed; what came whole is kept', async () => {
  const { isWhole, events, failures } = await run(sending([body.subarray(0, PLAN.pieceBytes + 10)]));
  expect(isWhole).toBe(false);
  expect(events.map(({ kind }) => kind)).toEqual(['origin arrived', 'origin failed']);
  expect(failures).toHaveLength(1);
});

test('an origin that never stops sending is left with the last piece', async () => {
  const endless: Remote = {
    ...sending([]),
    async *read() {
      yield body;
      for (;;) yield Buffer.alloc(65_536);
    },
  };
  const { isWhole, story } = await run(endless);
  expect(isWhole).toBe(true);
  expect(story?.fromOrigin.bytes).toBe(body.length);
});

test('what goes wrong after the last piece is no failure', async () => {
  const { isWhole, events, failures } = await run(sending([body], fail(new Error('reset'))));
  expect(isWhole).toBe(true);
  expect(pieces(events)).toEqual([1, 2]);
  expect(events).toHaveLength(2);
  expect(failures).toEqual([]);
});

test.each([
  ['is down', 'origin failed', new Failure('origin_unavailable', 'down')],
  ['breaks off', 'origin failed', new Error('reset')],
  ['does not know the blob', 'origin refused', new Failure('blob_unknown', 'none')],
  ['does not let us have it', 'origin refused', new Failure('denied', 'no')],
  ['wants to know who we are', 'origin refused', new Failure('unauthorized', 'who')],
] as const)('an origin that %s is told as "%s"', async (_what, kind, error) => {
  const { isWhole, events, failures, story } = await run(sending([], fail(error)));
  expect(isWhole).toBe(false);
  expect(events).toEqual([{ kind }]);
  expect(failures).toEqual([error]);
  expect(story?.fromOrigin.failures).toBe(1);
});

test('a run that is called off ends without a word', async () => {
  const stop = new AbortController();
  const remote = sending([body.subarray(0, 10)], async () => {
    stop.abort();
    throw stop.signal.reason;
  });
  const { isWhole, events, failures } = await run(remote, stop.signal);
  expect([isWhole, events, failures]).toEqual([false, [], []]);
});
