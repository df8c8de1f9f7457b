import { chmod, mkdtemp, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Draft, type Happening, pieceSpan } from '@drayage/core';
import { openStore, type Store } from './open-store.ts';

export const SIZE = 1_200_000;
export const never: AbortSignal = new AbortController().signal;

export interface Scene {
  readonly root: string;
  readonly happenings: Happening[];
  open(quotaBytes?: number): Promise<Store>;
}

export async function scene(): Promise<Scene> {
  const root = join(await mkdtemp(join(tmpdir(), 'drayage-store-')), 'data');
  const happenings: Happening[] = [];
  let time = 1_000_000;
  const now = () => time++;
  return {
    root,
    happenings,
    open: (quotaBytes = 1e9) => openStore({ root, quotaBytes, now, report: (one) => void happenings.push(one) }),
  };
}

export async function flip(path: string, offset: number): Promise<void> {
  await chmod(path, 0o600);
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 0xff]), 0, 1, offset);
  await file.close();
}

export async function write(
  draft: Draft | undefined,
  bytes: Buffer,
  pieces: readonly number[],
  from: 'peer' | 'origin' = 'origin',
): Promise<void> {
  if (!draft) throw new Error('no draft');
  for (const piece of pieces) {
    const { start, end } = pieceSpan(draft.plan, piece);
    await draft.write(piece, [bytes.subarray(start, end)], from);
  }
}
