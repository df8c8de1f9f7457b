import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { anyOf } from './any-of.ts';
import { sha256 } from './digest.ts';
import { Failure } from './failure.ts';
import { type FakeRemote, fakeRemote } from './fake-remote.ts';

const bytes = randomBytes(300_000);
const digest = sha256(bytes);
const never: AbortSignal = new AbortController().signal;

/** A caller whose credential ends before it has read so far. */
function caller(
  endsAt = Number.POSITIVE_INFINITY,
  code: 'unauthorized' | 'origin_unavailable' = 'unauthorized',
): FakeRemote {
  const remote = fakeRemote(new Map([[digest, bytes]]));
  remote.beforeChunk = async (at) => {
    if (at >= endsAt) throw new Failure(code, 'the token is over');
  };
  return remote;
}

async function read(remotes: ReadonlySet<FakeRemote>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(anyOf(remotes).read(digest, { start: 0, end: bytes.length }, never)));
}

test('when the youngest caller is refused, the bytes go on in the name of another, and none comes twice', async () => {
  const [old, young] = [caller(), caller(128 * 1024)];
  expect((await read(new Set([old, young]))).equals(bytes)).toBe(true);
  expect([young.sentBytes, old.sentBytes]).toEqual([128 * 1024, bytes.length - 128 * 1024]);
});

test('who joins while it is read may go on with it', async () => {
  const remotes = new Set<FakeRemote>();
  const first = caller();
  first.beforeChunk = async (at) => {
    if (at === 0) return;
    remotes.add(second);
    throw new Failure('denied', 'no longer');
  };
  const second = caller();
  remotes.add(first);
  expect((await read(remotes)).equals(bytes)).toBe(true);
});

test('when all are refused, or the origin is away, that is the end of it', async () => {
  const both = [caller(0), caller(0)];
  await expect(read(new Set(both))).rejects.toMatchObject({ code: 'unauthorized' });
  const away = caller(0, 'origin_unavailable');
  const other = caller();
  await expect(read(new Set([other, away]))).rejects.toMatchObject({ code: 'origin_unavailable' });
  expect(other.sentBytes).toBe(0);
});
