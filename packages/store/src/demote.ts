import { chmod, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_BYTES, type Digest, hexOf, planPieces } from '@drayage/core';
import { SURE, startMap, writeRecord } from './draft-map.ts';
import type { Layout } from './layout.ts';

const QUARANTINE_FILES_MAX = 32;

interface Bad {
  readonly digest: Digest;
  readonly size: number;
  readonly hashes: Buffer;
  readonly badBlock: number;
}

/**
 * Turns a sealed blob whose bytes changed back into a draft that claims every piece. Opening the draft hashes the claims,
 * so only what changed is fetched again. The changed block is set aside for whoever wants to know what happened.
 */
export async function demote(layout: Layout, { digest, size, hashes, badBlock }: Bad): Promise<void> {
  const plan = planPieces(size);
  const { folder, data, map: mapPath } = layout.draft(digest);
  try {
    await setAside(layout, digest, badBlock);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
    await chmod(layout.blob(digest), 0o600);
    await rename(layout.blob(digest), data);
    const file = await open(mapPath, 'w', 0o600);
    try {
      await startMap(file, plan);
      const present = new Uint8Array(plan.count).fill(SURE);
      for (let piece = 0; piece < plan.count; piece++) await writeRecord(file, plan, piece, { present, hashes });
    } finally {
      await file.close();
    }
  } catch {
    // Whatever cannot be saved is fetched again: what must not happen is that it is served again.
    await rm(layout.blob(digest), { force: true });
    await rm(folder, { recursive: true, force: true });
  }
}

async function setAside(layout: Layout, digest: Digest, block: number): Promise<void> {
  const kept = await readdir(layout.quarantine).catch(() => []);
  if (kept.length >= QUARANTINE_FILES_MAX) return;
  const file = await open(layout.blob(digest), 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, block * BLOCK_BYTES);
    await writeFile(join(layout.quarantine, `${hexOf(digest)}.${block}`), buffer.subarray(0, bytesRead), {
      mode: 0o600,
    });
  } finally {
    await file.close();
  }
}
