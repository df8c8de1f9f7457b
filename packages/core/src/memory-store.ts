import { blake3 } from '@napi-rs/blake-hash';
import type { BlobReader, BlobStore, Draft, HeldBlob, Intake, OpenBlob } from './blob.ts';
import { algorithmOf, type Digest, matches } from './digest.ts';
import { Failure } from './failure.ts';
import { BLOCK_BYTES, type PiecePlan, pieceAt, pieceSpan, planPieces } from './pieces.ts';

/** A store without a disk, for tests: it keeps the same promises as the real one, which the contract suite checks. */
export function memoryStore(): BlobStore {
  const sealed = new Map<Digest, Buffer>();
  const drafts = new Map<Digest, Draft>();

  function read(digest: Digest, bytes: Buffer): OpenBlob {
    return {
      digest,
      size: bytes.length,
      source: 'disk',
      read: async (into, offset) => bytes.copy(into, 0, offset),
      async [Symbol.asyncDispose]() {},
    };
  }

  return {
    async open(digest) {
      const bytes = sealed.get(digest);
      return bytes && read(digest, bytes);
    },
    async draft(digest, size) {
      const draft = drafts.get(digest) ?? memoryDraft(digest, planPieces(size), (bytes) => sealed.set(digest, bytes));
      drafts.set(digest, draft);
      return draft.plan.size === size ? draft : undefined;
    },
    intake: async () => memoryIntake((digest, bytes) => sealed.set(digest, bytes)),
    async put(digest, bytes) {
      sealed.set(digest, Buffer.from(bytes));
      return true;
    },
    async blockHashes(digest) {
      const bytes = sealed.get(digest);
      return bytes && hashBlocks(bytes);
    },
    sizeOf: (digest) => sealed.get(digest)?.length,
    list: (): HeldBlob[] => [...sealed].map(([digest, { length }]) => ({ digest, size: length, lastUsedAt: 0 })),
    remove: async (digest) => sealed.delete(digest),
    async verify(digest) {
      const bytes = sealed.get(digest);
      return bytes ? (matches(bytes, digest) ? 'sound' : 'corrupt') : 'unknown';
    },
    status: () => ({
      blobs: sealed.size,
      bytes: [...sealed.values()].reduce((sum, { length }) => sum + length, 0),
      drafts: drafts.size,
      draftBytes: 0,
      quotaBytes: Number.MAX_SAFE_INTEGER,
      passThrough: undefined,
    }),
    async [Symbol.asyncDispose]() {},
  };
}

function hashBlocks(bytes: Buffer): Buffer {
  const count = Math.ceil(bytes.length / BLOCK_BYTES);
  const blocks = Array.from({ length: count }, (_, at) => bytes.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES));
  return Buffer.concat(blocks.map((block) => blake3(block)));
}

function memoryIntake(keep: (digest: Digest, bytes: Buffer) => void): Intake {
  const chunks: Buffer[] = [];
  return {
    get bytes() {
      return chunks.reduce((sum, { length }) => sum + length, 0);
    },
    async append(chunk) {
      chunks.push(Buffer.from(chunk));
    },
    async seal(digest) {
      const bytes = Buffer.concat(chunks);
      if (algorithmOf(digest) !== 'sha256' || bytes.length === 0) return 'lost';
      if (!matches(bytes, digest)) return 'unlike';
      keep(digest, bytes);
      return 'sealed';
    },
    async [Symbol.asyncDispose]() {},
  };
}

interface Reader {
  from: number;
  to: number;
  isSpoiled: boolean;
}

interface State {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly bytes: Buffer;
  readonly present: Set<number>;
  readonly readers: Set<Reader>;
  readonly waiters: Set<{ readonly piece: number; readonly since: number; readonly look: () => void }>;
  isProven: boolean;
  abandoned: Error | undefined;
}

function memoryDraft(digest: Digest, plan: PiecePlan, keep: (bytes: Buffer) => void): Draft {
  const state: State = {
    digest,
    plan,
    bytes: Buffer.alloc(plan.size),
    present: new Set(),
    readers: new Set(),
    waiters: new Set(),
    isProven: false,
    abandoned: undefined,
  };
  const lookAgain = () => {
    for (const { look } of [...state.waiters]) look();
  };
  return {
    digest,
    plan,
    get heldBytes() {
      return [...state.present].reduce(
        (sum, piece) => sum + pieceSpan(plan, piece).end - pieceSpan(plan, piece).start,
        0,
      );
    },
    has: (piece) => state.present.has(piece),
    async write(piece, chunks) {
      if (state.present.has(piece)) return;
      Buffer.concat(chunks).copy(state.bytes, pieceSpan(plan, piece).start);
      state.present.add(piece);
      lookAgain();
    },
    async seal() {
      if (state.present.size < plan.count || !matches(state.bytes, digest)) return false;
      state.isProven = true;
      keep(state.bytes);
      lookAgain();
      return true;
    },
    async drop(pieces) {
      for (const piece of pieces) {
        state.present.delete(piece);
        const { start, end } = pieceSpan(plan, piece);
        for (const reader of state.readers) if (reader.from < end && reader.to > start) reader.isSpoiled = true;
      }
      lookAgain();
    },
    async readPiece(into, offset) {
      const piece = pieceAt(plan, offset);
      if (!state.present.has(piece)) throw new Failure('blob_lost', `piece ${piece} of ${digest} is not here`);
      return state.bytes.copy(into, 0, offset, pieceSpan(plan, piece).end);
    },
    follow: () => follow(state),
    waiting: () => [...state.waiters].map(({ piece, since }) => ({ piece, waitedMs: Date.now() - since })),
    begin() {
      state.abandoned = undefined;
    },
    fail(error) {
      state.abandoned = error;
      lookAgain();
    },
    async [Symbol.asyncDispose]() {},
  };
}

function follow(state: State): BlobReader {
  const { digest, plan } = state;
  const given: Reader = { from: Number.MAX_SAFE_INTEGER, to: 0, isSpoiled: false };
  state.readers.add(given);
  const isVisible = (piece: number) => state.present.has(piece) && (state.isProven || piece < plan.count - 1);
  return {
    digest,
    size: plan.size,
    async read(into, offset, signal) {
      if (offset >= plan.size) return 0;
      const piece = pieceAt(plan, offset);
      for (;;) {
        if (given.isSpoiled) throw new Failure('blob_corrupt', `the bytes that came for ${digest} are not its own`);
        if (isVisible(piece)) break;
        if (state.abandoned) throw state.abandoned;
        await nextLook(state, piece, signal);
      }
      const bytes = state.bytes.copy(into, 0, offset, pieceSpan(plan, piece).end);
      given.from = Math.min(given.from, offset);
      given.to = Math.max(given.to, offset + bytes);
      return bytes;
    },
    async [Symbol.asyncDispose]() {
      state.readers.delete(given);
    },
  };
}

function nextLook(state: State, piece: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      state.waiters.delete(waiter);
      reject(new Error('reading was given up', { cause: signal.reason }));
    };
    const waiter = {
      piece,
      since: Date.now(),
      look() {
        state.waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        resolve();
      },
    };
    state.waiters.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
