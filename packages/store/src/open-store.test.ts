import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContract } from '@drayage/core/testing';
import { openStore } from './open-store.ts';

storeContract('on disk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'drayage-store-'));
  return openStore({ root, quotaBytes: 1e9, report: () => {} });
});
