import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithmOf, BLOB_BYTES_MAX, BLOCK_BYTES, type Digest, digestOf, type Intake } from '@drayage/core';
import { hashBlocks } from './blocks.ts';
import { asError } from './files.ts';
import type { Layout } from './layout.ts';
import type { Sealed } from './sealed.ts';
import type { Space } from './space.ts';
import { withinMs } from './within.ts';

/** While one buffer is written the next one fills; two of these per intake. */
const BUFFER_BYTES = 4 * BLOCK_BYTES;
const INTAKES_MAX = 32;
/** Whoever sends bytes waits for the disk no longer than this: then the disk goes without them. */
const DISK_WAIT_MS = 3_000;

export interface IntakesParts {
  readonly layout: Layout;
  readonly sealed: Sealed;
  readonly space: () => Space;
  readonly report: (happening: { kind: 'sealed'; digest: Digest; size: number }) => void;
}

/** The blobs that come in before their digest is known. */
export interface Intakes {
  /** Undefined when the disk cannot take one, or too many are open. */
  take(): Promise<Intake | undefined>;
  bytes(): number;
}

export function openIntakes(parts: IntakesParts): Intakes {
  const current = new Set<{ readonly bytes: () => number }>();
  let count = 0;
  return {
    async take() {
      if (current.size >= INTAKES_MAX || !(await parts.space().makeRoom(BUFFER_BYTES))) return undefined;
      const path = join(parts.layout.drafts, `intake-${count++}`);
      try {
        const file = await withinMs(DISK_WAIT_MS, open(path, 'wx', 0o600));
        const started = startIntake(parts, { path, file }, () => current.delete(started));
        current.add(started);
        return started.intake;
      } catch (error) {
        parts.space().trouble(asError(error));
        return undefined;
      }
    },
    bytes: () => [...current].reduce((sum, { bytes }) => sum + bytes(), 0),
  };
}

interface Place {
  readonly path: string;
  readonly file: FileHandle;
}

function startIntake(
  { sealed, space, report }: IntakesParts,
  { path, file }: Place,
  over: () => void,
): { readonly intake: Intake; readonly bytes: () => number } {
  const hash = createHash('sha256');
  const writer = startWriter(file, async (bytes) => {
    if (!(await space().makeRoom(bytes))) throw new NoRoom();
  });
  let isOver = false;

  async function end(): Promise<void> {
    if (isOver) return;
    isOver = true;
    over();
    await file.close().catch(() => undefined);
    await rm(path, { force: true }).catch(() => undefined);
  }

  async function giveUp(error: unknown): Promise<void> {
    if (error instanceof NoRoom) return await end();
    if (!isOver) space().trouble(asError(error));
    // A disk that hangs would hang whoever waited for it here as well.
    void end();
  }

  async function prove(digest: Digest): Promise<'sealed' | 'unlike' | 'lost'> {
    if (isOver || algorithmOf(digest) !== 'sha256' || writer.bytes() === 0) return 'lost';
    await writer.finish();
    if (digestOf(hash, digest) !== digest) return 'unlike';
    if (sealed.sizeOf(digest) !== undefined) return 'sealed';
    await file.sync();
    const size = writer.bytes();
    await sealed.adopt(digest, { path, size, hashes: writer.hashes() });
    report({ kind: 'sealed', digest, size });
    return 'sealed';
  }

  const intake: Intake = {
    get bytes() {
      return isOver ? undefined : writer.bytes();
    },
    async append(chunk) {
      if (isOver) return;
      hash.update(chunk);
      await writer.add(chunk).catch(giveUp);
      if (writer.bytes() > BLOB_BYTES_MAX) await end();
    },
    async seal(digest) {
      try {
        const outcome = await prove(digest);
        await end();
        return outcome;
      } catch (error) {
        await giveUp(error);
        return 'lost';
      }
    },
    [Symbol.asyncDispose]: end,
  };
  return { intake, bytes: writer.bytes };
}

/** The quota or the disk is full, which is no trouble of the disk's. */
class NoRoom extends Error {}

interface Writer {
  add(chunk: Uint8Array): Promise<void>;
  /** Resolves when everything is written. */
  finish(): Promise<void>;
  bytes(): number;
  /** Of the blocks that were written. */
  hashes(): Buffer;
}

/** Writes one buffer while the next one fills. */
function startWriter(file: FileHandle, makeRoom: (bytes: number) => Promise<void>): Writer {
  const hashes: Buffer[] = [];
  const free: Buffer[] = [];
  let filling: Buffer | undefined;
  let filled = 0;
  let written = 0;
  let writing: Promise<void> = Promise.resolve();

  async function flush(): Promise<void> {
    await withinMs(DISK_WAIT_MS, writing);
    const full = filling;
    if (!full) return;
    await makeRoom(filled);
    const bytes = full.subarray(0, filled);
    hashes.push(hashBlocks([bytes]));
    writing = writeAll(file, bytes, written).then(() => void free.push(full));
    // Met at the next flush.
    writing.catch(() => undefined);
    written += filled;
    filling = undefined;
    filled = 0;
  }

  return {
    async add(chunk) {
      for (let at = 0; at < chunk.length; ) {
        filling ??= free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
        const part = chunk.subarray(at, at + BUFFER_BYTES - filled);
        filling.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === BUFFER_BYTES) await flush();
      }
    },
    async finish() {
      await flush();
      await withinMs(DISK_WAIT_MS, writing);
    },
    bytes: () => written + filled,
    hashes: () => Buffer.concat(hashes),
  };
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    if (bytesWritten === 0) throw new Error('the disk takes no more bytes');
    at += bytesWritten;
  }
}
