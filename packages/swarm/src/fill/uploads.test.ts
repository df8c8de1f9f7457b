import { randomBytes } from 'node:crypto';
import { type BlobStore, Failure, type Happening, planPieces, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import type { MemberDecision, MemberEvent } from '@drayage/exchange';
import { expect, test, vi } from 'vitest';
import type { Link, Outgoing } from '../link/types.ts';
import { attestations } from './attestation.ts';
import { type Buffers, nameOf, pieceBuffers } from './buffers.ts';
import { newIdentity } from './fake-hosts.ts';
import type { Neighbour } from './neighbours.ts';
import { giveUploads, type Uploads } from './uploads.ts';

const BLOB = randomBytes(700_000);
const DIGEST = sha256(BLOB);
const PLAN = planPieces(BLOB.length);
const HASH = 'ab'.repeat(32);
const words = attestations(await newIdentity());

interface Scene {
  readonly uploads: Uploads;
  readonly buffers: Buffers;
  readonly events: MemberEvent[];
  readonly happenings: Happening[];
  readonly lost: unknown[];
  /** What was sent, to be read as the connection takes it. */
  readonly sent: { readonly outgoing: Outgoing; end(error?: Error): void }[];
  serve(piece: number): void;
  pass(ms: number): void;
}

async function setScene(store: BlobStore, isSealed: boolean): Promise<Scene> {
  const draft = await store.draft(DIGEST, BLOB.length);
  for (let piece = 0; piece < PLAN.count; piece++)
    await draft?.write(piece, [BLOB.subarray(piece * PLAN.pieceBytes, (piece + 1) * PLAN.pieceBytes)], 'peer');
  const buffers = pieceBuffers();
  const [events, happenings, lost]: [MemberEvent[], Happening[], unknown[]] = [[], [], []];
  const sent: Scene['sent'] = [];
  let now = 0;
  const link = {
    send(outgoing: Outgoing) {
      const { promise, resolve, reject } = Promise.withResolvers<boolean>();
      sent.push({ outgoing, end: (error) => (error ? reject(error) : resolve(true)) });
      return promise;
    },
  } as Link;
  const neighbour: Neighbour = { id: 7, member: 'm', link, own: 0, theirs: 1 };
  const uploads = giveUploads(
    {
      ...{ digest: DIGEST, plan: PLAN, store, attestations: words, buffers, now: () => now },
      report: (happening) => void happenings.push(happening),
      step: (event) => void events.push(event),
      lost: (error) => void lost.push(error),
    },
    isSealed ? undefined : draft,
  );
  const decision = (piece: number): Extract<MemberDecision, { kind: 'serve' }> => ({
    ...{ kind: 'serve', to: 7, piece, attestation: { hash: HASH, author: 0 } },
  });
  return {
    ...{ uploads, events, happenings, lost, sent, buffers },
    serve: (piece) => uploads.serve(neighbour, decision(piece)),
    pass(ms) {
      now += ms;
      uploads.watch();
    },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('an upload that the link has taken frees its slot', async () => {
  const scene = await setScene(memoryStore(), false);
  scene.serve(0);
  const into = Buffer.alloc(1000);
  expect(await scene.sent[0]?.outgoing.read(into, 5)).toBe(1000);
  expect(into.equals(BLOB.subarray(5, 1005))).toBe(true);
  scene.sent[0]?.end();
  await settled();
  expect(scene.events).toEqual([{ kind: 'sent', link: 7, piece: 0, isWhole: true }]);
});

test('a piece that came lately is sent from memory', async () => {
  const scene = await setScene(memoryStore(), false);
  scene.buffers.give(scene.buffers.demand(PLAN.pieceBytes).fill(9), nameOf(DIGEST, 0));
  scene.serve(0);
  const into = Buffer.alloc(1000);
  expect(await scene.sent[0]?.outgoing.read(into, PLAN.pieceBytes - 700)).toBe(700);
  expect(into.equals(Buffer.concat([Buffer.alloc(700, 9), Buffer.alloc(300)]))).toBe(true);
});

test('one who takes nothing for a second gives the slot up, once', async () => {
  const scene = await setScene(memoryStore(), false);
  scene.serve(0);
  scene.pass(999);
  expect(scene.events).toEqual([]);
  scene.pass(1);
  scene.pass(1000);
  scene.sent[0]?.end();
  await settled();
  expect(scene.events).toEqual([{ kind: 'sent', link: 7, piece: 0, isWhole: false }]);
});

test('the word of whoever stands for a piece goes with it, unless it is for other bytes', async () => {
  const scene = await setScene(memoryStore(), false);
  const theirs = attestations(await newIdentity()).make(DIGEST, 0, HASH);
  scene.uploads.vouch(0, theirs);
  scene.uploads.vouch(1, attestations(await newIdentity()).make(DIGEST, 1, 'cd'.repeat(32)));
  scene.serve(0);
  scene.serve(1);
  expect(scene.sent[0]?.outgoing.attestation).toBe(theirs);
  expect(words.check(DIGEST, 1, scene.sent[1]?.outgoing.attestation ?? Buffer.alloc(0))?.hash).toBe(HASH);
});

test('a piece that proves wrong while it is sent is not sent on, half of it wrong and half right', async () => {
  const scene = await setScene(memoryStore(), false);
  scene.serve(0);
  scene.serve(1);
  await scene.sent[0]?.outgoing.read(Buffer.alloc(10), 0);
  scene.uploads.forget([0]);
  await expect(scene.sent[0]?.outgoing.read(Buffer.alloc(10), 10)).rejects.toThrow('proved wrong');
  scene.sent[0]?.end(new Failure('blob_lost', 'it proved wrong'));
  await settled();
  expect(scene.happenings.filter(({ kind }) => kind === 'error')).toEqual([]);
  expect(await scene.sent[1]?.outgoing.read(Buffer.alloc(10), 10)).toBe(10);
});

test('reading that fails frees the slot, and is told once however many ask', async () => {
  const scene = await setScene(memoryStore(), false);
  for (const piece of [0, 1, 2]) scene.serve(piece);
  for (const { end } of scene.sent) end(new Failure('blob_lost', 'gone'));
  await settled();
  expect(scene.events).toHaveLength(3);
  expect(scene.happenings.filter(({ kind }) => kind === 'error')).toHaveLength(1);
});

test('a sealed blob that is gone ends the part', async () => {
  const scene = await setScene(memoryStore(), true);
  scene.serve(0);
  await expect(scene.sent[0]?.outgoing.read(Buffer.alloc(10), 0)).rejects.toThrow('no longer here');
  expect(scene.lost).toHaveLength(1);
});

test('a sealed blob is held open only while it is asked for', async () => {
  const store = memoryStore();
  await store.put(DIGEST, BLOB);
  const open = { now: 0, all: 0 };
  const scene = await setScene(
    {
      ...store,
      async open(digest) {
        const blob = await store.open(digest);
        open.now++;
        open.all++;
        return blob && { ...blob, [Symbol.asyncDispose]: async () => void open.now-- };
      },
    },
    true,
  );
  const read = async () => {
    scene.serve(0);
    await scene.sent.at(-1)?.outgoing.read(Buffer.alloc(10), 0);
    scene.sent.at(-1)?.end();
    await settled();
  };
  await read();
  await read();
  expect(open).toEqual({ now: 1, all: 1 });
  scene.pass(30_000);
  await vi.waitFor(() => expect(open.now).toBe(0));
  await read();
  expect(open).toEqual({ now: 1, all: 2 });
  await scene.uploads[Symbol.asyncDispose]();
  expect(open.now).toBe(0);
  await expect(scene.sent[0]?.outgoing.read(Buffer.alloc(10), 0)).rejects.toThrow('served no more');
  expect(open).toEqual({ now: 0, all: 2 });
});
