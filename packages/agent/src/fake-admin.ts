import { type Catalog, type Digest, Failure, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { type OriginRepository, policies } from '@drayage/registry';
import { Registry } from 'prom-client';
import { formatAddress } from './address.ts';
import { type Admin, type AdminParts, startAdmin } from './admin.ts';
import { runCommandLine } from './cli.ts';
import type { Output } from './command.ts';

const bytes = Buffer.from('a blob');
/** The one blob that the agent behind a fake admin API holds. */
export const digest: Digest = sha256(bytes);

/** An admin API on a free port, of an agent that holds one blob and knows nobody; any part of it may be replaced. */
export async function startFakeAdmin(changes: Partial<AdminParts> = {}): Promise<Admin> {
  const store = memoryStore();
  await store.put(digest, bytes);
  return startAdmin({
    address: { host: '127.0.0.1', port: 0 },
    metrics: new Registry(),
    readiness: () => ({ isReady: true, checks: [{ name: 'store', isGood: true, detail: '1 blob' }] }),
    status: () => ({ version: '0' }),
    swarm: undefined,
    report: () => {},
    store,
    catalog: fakeCatalog(),
    pulls: {
      open: async () => undefined,
      keep: async () => false,
      list: () => [],
      [Symbol.asyncDispose]: async () => {},
    },
    origins: {
      has: () => false,
      repository: (origin) => {
        throw new Failure('name_unknown', `${origin} is not on the list of origins`);
      },
      status: () => [],
      [Symbol.asyncDispose]: async () => {},
    },
    policies: policies({}),
    defaultOrigin: 'docker.io',
    now: Date.now,
    ...changes,
  });
}

/** A catalog that knows nothing but what it is given. */
export function fakeCatalog(known: Partial<Catalog> = {}): Catalog {
  return {
    note: () => {},
    belongs: () => false,
    facts: () => undefined,
    rememberTag: () => {},
    recallTag: () => undefined,
    tags: () => [],
    rememberPublic: () => {},
    recallPublic: () => undefined,
    forgetPublic: () => {},
    ...known,
  };
}

/** The repositories of an origin that has nothing but what it is given. */
export function fakeRepository(known: Partial<OriginRepository>): OriginRepository {
  return {
    origin: 'one.test',
    stat: async () => undefined,
    async *read() {},
    headManifest: async () => undefined,
    getManifest: async () => undefined,
    listTags: async () => undefined,
    referrers: async () => undefined,
    push: async () => {
      throw new Failure('unsupported', 'nothing is pushed here');
    },
    ...known,
  };
}

/** What one command says to the agent behind this admin API, and how it exits. */
export async function command(
  admin: Admin | undefined,
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const said = { out: '', err: '' };
  const output = (to: 'out' | 'err'): Output => ({
    isTerminal: false,
    isColoured: false,
    columns: () => 80,
    rows: () => 24,
    write: (text) => {
      said[to] += text;
    },
  });
  const address = admin ? [`--admin=${formatAddress(admin.address)}`] : [];
  const around = { env: {}, home: '/', isRoot: false, out: output('out'), err: output('err') };
  const code = await runCommandLine([...words, ...address], around);
  return { code, ...said };
}
