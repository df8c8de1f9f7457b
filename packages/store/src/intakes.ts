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
  const hashes: Buffer[] = [];
  const free: Buffer[] = [];
  let filling: Buffer | undefined;
  let filled = 0;
  let written = 0;
  let writing: Promise<void> = Promise.resolve();
  let isOver = false;

  /** Lets go of the file, wherever it is by now. */
  async function end(): Promise<void> {
    if (isOver) return;
    isOver = true;
    over();
    await file.close().catch(() => undefined);
    await rm(path, { force: true }).catch(() => undefined);
  }

  function giveUp(error: unknown): void {
    if (isOver) return;
    space().trouble(asError(error));
    // A disk that hangs would hang here as well.
    void end();
  }

  /** Begins to write what has gathered, once what was begun before is on the disk. */
  async function flush(): Promise<void> {
    await withinMs(DISK_WAIT_MS, writing);
    const full = filling;
    if (isOver || !full) return;
    if (!(await space().makeRoom(filled))) return await end();
    const bytes = full.subarray(0, filled);
    hashes.push(hashBlocks([bytes]));
    filling = undefined;
    filled = 0;
    writing = writeAll(file, bytes, written).then(() => void free.push(full));
    // Met at the next flush.
    writing.catch(() => undefined);
    written += bytes.length;
  }

  async function prove(digest: Digest): Promise<'sealed' | 'unlike' | 'lost'> {
    if (isOver || algorithmOf(digest) !== 'sha256') return 'lost';
    await flush();
    await withinMs(DISK_WAIT_MS, writing);
    if (isOver || written === 0) return 'lost';
    if (digestOf(hash, digest) !== digest) return 'unlike';
    if (sealed.sizeOf(digest) !== undefined) return 'sealed';
    await file.sync();
    await sealed.adopt(digest, { path, size: written, hashes: Buffer.concat(hashes) });
    report({ kind: 'sealed', digest, size: written });
    return 'sealed';
  }

  const intake: Intake = {
    get bytes() {
      return isOver ? undefined : written + filled;
    },
    async append(chunk) {
      if (isOver) return;
      if (written + filled + chunk.length > BLOB_BYTES_MAX) return await end();
      hash.update(chunk);
      try {
        for (let at = 0; at < chunk.length && !isOver; ) {
          filling ??= free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
          const part = chunk.subarray(at, at + BUFFER_BYTES - filled);
          filling.set(part, filled);
          filled += part.length;
          at += part.length;
          if (filled === BUFFER_BYTES) await flush();
        }
      } catch (error) {
        giveUp(error);
      }
    },
    async seal(digest) {
      try {
        return await prove(digest);
      } catch (error) {
        giveUp(error);
        return 'lost';
      } finally {
        await end();
      }
    },
    [Symbol.asyncDispose]: end,
  };
  return { intake, bytes: () => written + filled };
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    if (bytesWritten === 0) throw new Error('the disk takes no more bytes');
    at += bytesWritten;
  }
}
