import { randomBytes } from 'node:crypto';
import { planPieces, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { newStanding, newUplink, type Uplink } from '@drayage/exchange';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Link } from '../link/types.ts';
import { attestations } from './attestation.ts';
import { pieceBuffers } from './buffers.ts';
import { newIdentity } from './fake-hosts.ts';
import type { HomeLine } from './home-line.ts';
import type { Mesh } from './mesh.ts';
import { takePart } from './part.ts';
import type { Part, Shared } from './part-types.ts';
import { openRoll } from './roll.ts';

const BLOB = randomBytes(100_000);
const DIGEST = sha256(BLOB);
const words = attestations(await newIdentity());

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Scene {
  readonly part: Part;
  readonly link: Link;
  readonly uplink: Uplink;
  readonly ends: number[];
}

/** A part that serves a sealed blob, and a link on which members open it. */
async function setScene(): Promise<Scene> {
  const store = memoryStore();
  await store.put(DIGEST, BLOB);
  const link = {
    member: 'm',
    side: 'acceptor',
    isOpen: () => true,
    have: () => {},
    offer: () => {},
    // The other side takes nothing.
    send: () => new Promise(() => {}),
  } as unknown as Link; // only this is asked of it here
  const ends: number[] = [];
  const uplink = newUplink();
  const shared: Shared = {
    ...{ store, roll: openRoll({ member: 'self', links: [], zone: undefined }), buffers: pieceBuffers() },
    ...{ attestations: words, standing: newStanding(), zone: undefined, uplink, random: () => 0.5 },
    mesh: { open: () => 0, close: () => {}, forget: () => {} } as unknown as Mesh, // only this is asked of it here
    line: { report: () => new Promise(() => {}), isThere: async () => false } as unknown as HomeLine, // only this is asked of it here
    now: () => performance.now(),
    report: () => {},
    askForHashes: async () => undefined,
    quarantined: () => {},
  };
  const part = takePart({
    ...{
      shared,
      digest: DIGEST,
      plan: planPieces(BLOB.length),
      homes: () => [],
      filling: undefined,
      sealed: ['ab'.repeat(32)],
    },
    over: () => void ends.push(performance.now()),
  });
  return { part, link, uplink, ends };
}

test('a sealed blob that nobody asks for is left alone in time', async () => {
  const { ends } = await setScene();
  await vi.advanceTimersByTimeAsync(29_000);
  expect(ends).toEqual([]);
  await vi.advanceTimersByTimeAsync(3000);
  expect(ends).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('who opens a blob and never asks for any of it does not keep it for ever', async () => {
  const { part, link, ends } = await setScene();
  part.opened(link, 1, { zone: undefined });
  await vi.advanceTimersByTimeAsync(200_000);
  expect(ends).toEqual([]);
  await vi.advanceTimersByTimeAsync(110_000);
  expect(ends).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('a part that is stopped more than once is over once, and each waits for it', async () => {
  const { part, ends } = await setScene();
  await Promise.all([part.stop(new Error('one')), part.stop(new Error('other'))]);
  await part.stop(new Error('again'));
  expect(ends).toHaveLength(1);
  await expect(part.proven).rejects.toThrow('one');
  part.leased(0, { start: 0, end: 1 });
  expect(part.questioned(0)).toBe(false);
});

test('what a part was sending when it ended is on its way no longer, as far as the uplink is reckoned', async () => {
  const { part, link, uplink } = await setScene();
  part.opened(link, 1, { zone: undefined });
  part.wants(link, { channel: 1, piece: 0, inFlight: 1 });
  expect(uplink.sending).toBe(1);
  await part.stop(new Error('enough'));
  expect(uplink.sending).toBe(0);
});
