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
import type { Neighbour } from './neighbours.ts';

/** An upload that nobody takes anything of for this long gives its slot up; its bytes may still follow. */
const STALL_MS = 1000;
/** A disk that gives nothing for this long has nothing to give. */
const READ_WAIT_MS = 10_000;

export interface UploadsParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly store: Pick<BlobStore, 'open'>;
  readonly attestations: Attestations;
  readonly report: Report;
  readonly now: () => number;
  readonly step: (event: MemberEvent) => void;
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
}

export function giveUploads(parts: UploadsParts, draft: Draft | undefined): Uploads {
  const { digest, plan, report, now, step } = parts;
  const vouched = new Map<number, Buffer>();
  const running = new Set<Upload>();
  const bytes = bytesOf(parts, draft);

  function attestationOf({ piece, attestation: { hash } }: Serve): Buffer {
    const known = vouched.get(piece);
    if (known?.toString('hex', 0, 32) === hash) return known;
    const own = parts.attestations.make(digest, piece, hash);
    vouched.set(piece, own);
    return own;
  }

  async function serve(neighbour: Neighbour, decision: Serve): Promise<void> {
    const { link, theirs, id } = neighbour;
    const { piece } = decision;
    const { start, end } = pieceSpan(plan, piece);
    const upload: Upload = { neighbour, piece, readAt: now(), hasSlot: true };
    running.add(upload);
    try {
      if (theirs === undefined) return;
      await link.send({
        channel: theirs,
        piece,
        length: end - start,
        attestation: attestationOf(decision),
        async read(into, offset) {
          const count = await bytes.read(into, start + offset);
          upload.readAt = now();
          report({ kind: 'served', to: 'peer', source: bytes.source(), bytes: count });
          return count;
        },
      });
    } finally {
      running.delete(upload);
      if (upload.hasSlot) step({ kind: 'sent', link: id, piece });
    }
  }

  return {
    serve(neighbour, decision) {
      serve(neighbour, decision).catch((error: unknown) => {
        // The other side was told that the piece is gone.
        report({ kind: 'error', where: 'uploads', problem: `piece ${decision.piece} of ${digest}: ${String(error)}` });
      });
    },
    vouch: (piece, attestation) => void vouched.set(piece, attestation),
    forget(pieces) {
      for (const piece of pieces) vouched.delete(piece);
    },
    async seal() {
      vouched.clear();
      await bytes.seal();
    },
    watch() {
      for (const upload of running) {
        if (!upload.hasSlot || now() - upload.readAt < STALL_MS) continue;
        upload.hasSlot = false;
        step({ kind: 'sent', link: upload.neighbour.id, piece: upload.piece });
      }
    },
    async [Symbol.asyncDispose]() {
      await bytes[Symbol.asyncDispose]();
    },
  };
}

/** The bytes of the pieces that are here: of the draft, and once that is sealed, of the store. */
interface Bytes extends AsyncDisposable {
  read(into: Buffer, offset: number): Promise<number>;
  source(): Source;
  seal(): Promise<void>;
}

function bytesOf({ store, digest }: UploadsParts, filling: Draft | undefined): Bytes {
  const reading = new Set<Promise<unknown>>();
  let draft = filling;
  let sealed: Promise<OpenBlob | undefined> | undefined;

  async function readSealed(into: Buffer, offset: number): Promise<number> {
    sealed ??= store.open(digest);
    const blob = await sealed;
    if (!blob) throw new Failure('blob_lost', `${digest} is no longer here`);
    return await blob.read(into, offset, AbortSignal.timeout(READ_WAIT_MS));
  }

  return {
    async read(into, offset) {
      const work = draft ? draft.readPiece(into, offset) : readSealed(into, offset);
      reading.add(work);
      return await work.finally(() => reading.delete(work));
    },
    source: () => (draft ? 'mixed' : 'disk'),
    async seal() {
      draft = undefined;
      await Promise.allSettled(reading);
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(reading);
      const blob = await sealed?.catch(() => undefined);
      await blob?.[Symbol.asyncDispose]();
    },
  };
}
