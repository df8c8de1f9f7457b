import { randomBytes } from 'node:crypto';
import { blake3 } from '@napi-rs/blake-hash';
import { expect, test } from 'vitest';
import type { BlobReader, BlobStore, Draft } from './blob.ts';
import { type Digest, digestOf, hashLike, sha256 } from './digest.ts';
import { isFailure } from './failure.ts';
import { BLOCK_BYTES, pieceSpan } from './pieces.ts';

const SIZE = 1_200_000;
const never: AbortSignal = new AbortController().signal;

/** What every store promises, whatever it is made of. */
export function storeContract(name: string, make: () => Promise<BlobStore>): void {
  const scene = async () => {
    const store = await make();
    const bytes = randomBytes(SIZE);
    return { store, bytes, digest: sha256(bytes) };
  };

  test(`${name}: a blob that was put is read back at any offset`, async () => {
    await using store = await make();
    const bytes = randomBytes(300_001);
    const digest = sha256(bytes);
    expect(await store.open(digest)).toBeUndefined();
    expect(await store.put(digest, bytes)).toBe(true);
    await using blob = await present(store.open(digest));
    for (const offset of [0, 1, 131_071, 131_072, 262_144, 300_000]) {
      expect(await readFrom(blob, offset)).toEqual(bytes.subarray(offset));
    }
    expect(await blob.read(Buffer.alloc(10), bytes.length, never)).toBe(0);
    expect(store.sizeOf(digest)).toBe(bytes.length);
    expect(store.list().map((held) => held.digest)).toEqual([digest]);
  });

  test(`${name}: many who put one blob at the same moment are told that it is here, and the disk is not blamed`, async () => {
    await using store = await make();
    const bytes = Buffer.from('a manifest that two clients ask for at once');
    const digest = sha256(bytes);
    const puts = Array.from({ length: 8 }, () => store.put(digest, bytes));
    expect(await Promise.all(puts)).toEqual(puts.map(() => true));
    expect(store.status()).toMatchObject({ blobs: 1, bytes: bytes.length, passThrough: undefined });
  });

  test(`${name}: a SHA-512 blob is kept like any other`, async () => {
    await using store = await make();
    const bytes = Buffer.from('hello');
    const like: Digest = `sha512:${'0'.repeat(128)}`;
    const digest = digestOf(hashLike(like).update(bytes), like);
    await store.put(digest, bytes);
    await using blob = await present(store.open(digest));
    expect(await readFrom(blob, 0)).toEqual(bytes);
  });

  test(`${name}: a reader follows a draft in order however its pieces arrive, and is the blob once sealed`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    const reading = readFrom(reader, 0);
    for (const piece of [3, 1, 4, 0, 2]) await writePiece(draft, piece, bytes);
    expect(await store.open(digest)).toBeUndefined();
    expect(await draft.seal(never)).toBe(true);
    expect(await reading).toEqual(bytes);
    await using sealed = await present(store.open(digest));
    expect(await readFrom(sealed, 700_000)).toEqual(bytes.subarray(700_000));
  });

  test(`${name}: the last piece stays hidden until the whole digest is proven`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    const { start } = pieceSpan(draft.plan, draft.plan.count - 1);
    for (let piece = 0; piece < draft.plan.count; piece++) await writePiece(draft, piece, bytes);
    const last = reader.read(Buffer.alloc(SIZE), start, never);
    expect(draft.waiting().map(({ piece }) => piece)).toEqual([draft.plan.count - 1]);
    await draft.seal(never);
    expect(await last).toBeGreaterThan(0);
  });

  test(`${name}: what a member sent is held from readers until it is trusted or the digest is proven`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    const given = new Set<number>();
    const reading = async (piece: number) => {
      await reader.read(Buffer.alloc(10), pieceSpan(draft.plan, piece).start, never);
      given.add(piece);
    };
    draft.trust([1]);
    const reads = [0, 1, 2].map(reading);
    for (const piece of [0, 1, 2]) await writePiece(draft, piece, bytes, piece === 2 ? 'origin' : 'peer');
    await reads[2];
    expect([...given]).toEqual([2]);
    draft.trust([1, 3]);
    await reads[1];
    expect([...given]).toEqual([2, 1]);
    expect(await draft.readPiece(Buffer.alloc(10), 0)).toBe(10);
    expect(draft.waiting().map(({ piece }) => piece)).toEqual([0]);
    for (const piece of [3, 4]) await writePiece(draft, piece, bytes, 'peer');
    await draft.seal(never);
    await reads[0];
  });

  test(`${name}: trust is in bytes that were here, not in what comes in their place`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    await writePiece(draft, 0, randomBytes(SIZE), 'peer');
    draft.trust([0]);
    await draft.drop([0]);
    const read = reader.read(Buffer.alloc(10), 0, never);
    await writePiece(draft, 0, bytes, 'peer');
    expect(draft.waiting().map(({ piece }) => piece)).toEqual([0]);
    draft.trust([0]);
    expect(await read).toBe(10);
  });

  test(`${name}: bytes that are not the digest's are never sealed, and readers that were given any fail`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using early = draft.follow();
    const wrong = Buffer.from(bytes);
    wrong[100] = (wrong[100] ?? 0) ^ 1;
    for (let piece = 0; piece < draft.plan.count; piece++) await writePiece(draft, piece, wrong);
    await early.read(Buffer.alloc(1000), 0, never);
    const waiting = early.read(Buffer.alloc(1000), SIZE - 10, never);
    const failed = expect(waiting).rejects.toSatisfy((error) => isFailure(error, 'blob_corrupt'));
    expect(await draft.seal(never)).toBe(false);
    await draft.drop([0]);
    await failed;
    expect(await store.open(digest)).toBeUndefined();

    await writePiece(draft, 0, bytes);
    expect(await draft.seal(never)).toBe(true);
    await using late = draft.follow();
    expect(await readFrom(late, 0)).toEqual(bytes);
  });

  test(`${name}: waiting ends when the fill fails, and begins anew with the next one`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    const waiting = reader.read(Buffer.alloc(10), 0, never);
    draft.fail(new Error('the origin is gone'));
    await expect(waiting).rejects.toThrow('the origin is gone');
    await expect(reader.read(Buffer.alloc(10), 0, never)).rejects.toThrow('the origin is gone');
    draft.begin();
    const again = reader.read(Buffer.alloc(10), 0, never);
    await writePiece(draft, 0, bytes);
    expect(await again).toBe(10);
  });

  test(`${name}: a read that is given up ends alone`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    await using reader = draft.follow();
    const stop = new AbortController();
    const given = reader.read(Buffer.alloc(10), 0, stop.signal);
    const other = reader.read(Buffer.alloc(10), 0, never);
    stop.abort(new Error('gone'));
    await expect(given).rejects.toThrow('given up');
    await writePiece(draft, 0, bytes);
    expect(await other).toBe(10);
  });

  test(`${name}: a piece of a draft can be read for others before the digest is proven, the last one too`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using draft = await present(store.draft(digest, SIZE));
    const last = draft.plan.count - 1;
    const { start } = pieceSpan(draft.plan, last);
    await writePiece(draft, last, bytes);
    const into = Buffer.alloc(BLOCK_BYTES);
    const count = await draft.readPiece(into, start);
    expect(into.subarray(0, count).equals(bytes.subarray(start, start + count))).toBe(true);
    expect(count).toBe(Math.min(BLOCK_BYTES, SIZE - start));
    await expect(draft.readPiece(into, 0)).rejects.toSatisfy((error) => isFailure(error, 'blob_lost'));
  });

  test(`${name}: the hashes of a sealed blob's blocks are known, and of no other`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    expect(await store.blockHashes(digest)).toBeUndefined();
    await store.put(digest, bytes);
    const hashes = await present(store.blockHashes(digest));
    expect(hashes.length).toBe(32 * Math.ceil(SIZE / BLOCK_BYTES));
    expect(hashes.subarray(32, 64).equals(blake3(bytes.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)))).toBe(true);
  });

  test(`${name}: one digest has one draft, and no second size`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    await using first = await present(store.draft(digest, SIZE));
    await using second = await present(store.draft(digest, SIZE));
    await writePiece(first, 2, bytes);
    expect(second.has(2)).toBe(true);
    expect(await store.draft(digest, SIZE + 1)).toBeUndefined();
  });

  test(`${name}: what came in unnamed is kept under the digest of its bytes, and under no other`, async () => {
    const { store, bytes, digest } = await scene();
    await using _store = store;
    const take = async (length: number) => {
      const intake = await present(store.intake());
      for (let at = 0; at < length; at += 70_001)
        await intake.append(bytes.subarray(at, Math.min(length, at + 70_001)));
      expect(intake.bytes).toBe(length);
      return intake;
    };
    expect(await (await take(SIZE - 1)).seal(digest)).toBe('unlike');
    expect(await (await take(SIZE)).seal(`sha512:${'0'.repeat(128)}`)).toBe('lost');
    await (await take(SIZE))[Symbol.asyncDispose]();
    expect(store.list()).toEqual([]);
    expect(await (await take(SIZE)).seal(digest)).toBe('sealed');
    expect(await (await take(SIZE)).seal(digest)).toBe('sealed');
    await using blob = await present(store.open(digest));
    expect(await readFrom(blob, 0)).toEqual(bytes);
    const hashes = await present(store.blockHashes(digest));
    expect(hashes.subarray(32, 64).equals(blake3(bytes.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)))).toBe(true);
  });

  test(`${name}: a removed blob is gone`, async () => {
    await using store = await make();
    const bytes = randomBytes(10);
    await store.put(sha256(bytes), bytes);
    expect(await store.verify(sha256(bytes), never)).toBe('sound');
    expect(await store.remove(sha256(bytes))).toBe(true);
    expect(await store.remove(sha256(bytes))).toBe(false);
    expect(await store.open(sha256(bytes))).toBeUndefined();
    expect(await store.verify(sha256(bytes), never)).toBe('unknown');
  });
}

async function present<T>(answer: Promise<T | undefined>): Promise<T> {
  const value = await answer;
  if (value === undefined) throw new Error('expected something, got undefined');
  return value;
}

async function writePiece(
  draft: Draft,
  piece: number,
  bytes: Buffer,
  from: 'peer' | 'origin' = 'origin',
): Promise<void> {
  const { start, end } = pieceSpan(draft.plan, piece);
  await draft.write(piece, [bytes.subarray(start, start + 70_001), bytes.subarray(start + 70_001, end)], from);
}

/** Everything from an offset on, as a client would read it. */
export async function readFrom(blob: BlobReader, from: number): Promise<Buffer> {
  const into = Buffer.alloc(200_000);
  const parts: Buffer[] = [];
  for (let offset = from; ; ) {
    const bytes = await blob.read(into, offset, never);
    if (bytes === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(into.subarray(0, bytes)));
    offset += bytes;
  }
}
