import {
  type BlobStore,
  type Digest,
  type Draft,
  Failure,
  type OpenBlob,
  type PiecePlan,
  pieceSpan,
  type Report,
  type Source,
} from '@drayage/core';
import type { MemberDecision, MemberEvent } from '@drayage/exchange';
import type { Attestations } from './attestation.ts';
import { type Buffers, nameOf } from './buffers.ts';
import type { Neighbour } from './neighbours.ts';

/** An upload that nobody takes anything of for this long gives its slot up; its bytes may still follow. */
const STALL_MS = 1000;
/** A sealed blob that nobody takes anything of for this long is not held open: what is held is not evicted. */
const REST_MS = 30_000;

export interface UploadsParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly store: Pick<BlobStore, 'open'>;
  readonly attestations: Attestations;
  readonly buffers: Pick<Buffers, 'recall'>;
  readonly report: Report;
  readonly now: () => number;
  readonly step: (event: MemberEvent) => void;
  /** The sealed blob cannot be read any more: there is nothing left to serve. */
  readonly lost: (error: unknown) => void;
}

type Serve = Extract<MemberDecision, { kind: 'serve' }>;

/** Pieces on their way to other members. */
export interface Uploads {
  serve(neighbour: Neighbour, decision: Serve): void;
  /** Which word goes with a piece that came from another member. */
  vouch(piece: number, attestation: Buffer): void;
  forget(pieces: readonly number[]): void;
  /** The blob is sealed: it is read from the store from now on, and we stand for it ourselves. */
  seal(): Promise<void>;
  /** Frees the slots of those who take nothing. */
  watch(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Upload {
  readonly neighbour: Neighbour;
  readonly piece: number;
  readAt: number;
  hasSlot: boolean;
  /** What it is of proved wrong: half of the old and half of the new would make a liar of us. */
  isOff: boolean;
  /** The connection has all of it. */
  isWhole: boolean;
}

export function giveUploads(parts: UploadsParts, draft: Draft | undefined): Uploads {
  const { digest, plan, report, now, step } = parts;
  const vouched = new Map<number, Buffer>();
  const running = new Set<Upload>();
  const bytes = bytesOf(parts, draft);
  let servedAt = now();
  let hasComplained = false;

  async function serve(neighbour: Neighbour, decision: Serve): Promise<void> {
    const { link, theirs, id } = neighbour;
    const { piece } = decision;
    const { start, end } = pieceSpan(plan, piece);
    const upload: Upload = { neighbour, piece, readAt: now(), hasSlot: true, isOff: false, isWhole: false };
    running.add(upload);
    try {
      if (theirs === undefined) return;
      upload.isWhole = await link.send({
        channel: theirs,
        piece,
        length: end - start,
        attestation: attestationOf(decision, vouched, parts),
        async read(into, offset) {
          if (upload.isOff) throw new Failure('blob_lost', `piece ${piece} of ${digest} proved wrong`);
          const count = await bytes.read(into, piece, offset);
          if (upload.isOff) throw new Failure('blob_lost', `piece ${piece} of ${digest} proved wrong`);
          upload.readAt = now();
          servedAt = now();
          report({ kind: 'served', to: 'peer', source: bytes.source(), bytes: count });
          return count;
        },
      });
    } catch (error) {
      // What proved wrong while it was sent is told of where it was found.
      if (!upload.isOff) throw error;
    } finally {
      running.delete(upload);
      if (upload.hasSlot) step({ kind: 'sent', link: id, piece, isWhole: upload.isWhole });
    }
  }

  return {
    serve(neighbour, decision) {
      serve(neighbour, decision).catch((error: unknown) => {
        // The other side was told that the piece is gone. One line says enough, however many ask.
        if (hasComplained || bytes.isOver()) return;
        hasComplained = true;
        report({ kind: 'error', where: 'uploads', problem: `piece ${decision.piece} of ${digest}: ${String(error)}` });
      });
    },
    vouch: (piece, attestation) => void vouched.set(piece, attestation),
    forget(pieces) {
      for (const piece of pieces) vouched.delete(piece);
      for (const upload of running) if (pieces.includes(upload.piece)) upload.isOff = true;
    },
    async seal() {
      vouched.clear();
      await bytes.seal();
    },
    watch() {
      if (running.size === 0 && now() - servedAt >= REST_MS) bytes.rest();
      for (const upload of running) {
        if (!upload.hasSlot || now() - upload.readAt < STALL_MS) continue;
        upload.hasSlot = false;
        step({ kind: 'sent', link: upload.neighbour.id, piece: upload.piece, isWhole: false });
      }
    },
    async [Symbol.asyncDispose]() {
      await bytes[Symbol.asyncDispose]();
    },
  };
}

/** What its author said, or else our own word. */
function attestationOf(
  { piece, attestation: { hash } }: Serve,
  vouched: Map<number, Buffer>,
  { attestations, digest }: UploadsParts,
): Buffer {
  const known = vouched.get(piece);
  if (known?.toString('hex', 0, 32) === hash) return known;
  const own = attestations.make(digest, piece, hash);
  vouched.set(piece, own);
  return own;
}

/** The bytes of the pieces that are here: from memory while they last, else of the draft, and once that is sealed, of the store. */
interface Bytes extends AsyncDisposable {
  read(into: Buffer, piece: number, offset: number): Promise<number>;
  source(): Source;
  seal(): Promise<void>;
  /** Lets go of the sealed blob until it is read again. */
  rest(): void;
  isOver(): boolean;
}

function bytesOf({ store, buffers, digest, plan, lost }: UploadsParts, filling: Draft | undefined): Bytes {
  const reading = new Set<Promise<unknown>>();
  let draft = filling;
  let sealed: Promise<OpenBlob | undefined> | undefined;
  const stop = new AbortController();
  const isOver = () => stop.signal.aborted;

  async function readSealed(into: Buffer, offset: number): Promise<number> {
    try {
      sealed ??= store.open(digest);
      const blob = await sealed;
      if (!blob) throw new Failure('blob_lost', `${digest} is no longer here`);
      return await blob.read(into, offset, stop.signal);
    } catch (error) {
      if (!isOver()) lost(error);
      throw error;
    }
  }

  async function letGo(): Promise<void> {
    const held = sealed;
    sealed = undefined;
    const blob = await held?.catch(() => undefined);
    await blob?.[Symbol.asyncDispose]();
  }

  return {
    async read(into, piece, offset) {
      if (isOver()) throw new Failure('blob_lost', `${digest} is served no more`);
      const recent = buffers.recall(nameOf(digest, piece));
      if (recent) return recent.copy(into, 0, offset);
      const at = pieceSpan(plan, piece).start + offset;
      const work = draft ? draft.readPiece(into, at) : readSealed(into, at);
      reading.add(work);
      return await work.finally(() => reading.delete(work));
    },
    source: () => (draft ? 'mixed' : 'disk'),
    async seal() {
      draft = undefined;
      await Promise.allSettled(reading);
    },
    rest() {
      if (sealed && reading.size === 0) void letGo().catch(lost);
    },
    isOver,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.allSettled(reading);
      await letGo();
    },
  };
}
