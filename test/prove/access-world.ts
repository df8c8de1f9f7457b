import { type Digest, type Fill, originFill, pieceSpan, startPulls } from '@drayage/core';
import { policies, startEndpoint, startOrigins } from '@drayage/registry';
import { type AddedImage, addImage, type GuardedRegistry, startGuardedRegistry } from '@drayage/registry/testing';
import { openStore } from '@drayage/store';

export const ORIGIN = 'private.test';
const QUOTA_BYTES = 1024 ** 3;

/** An endpoint with a store before a private registry, under a clock that is moved by hand, and another host that holds things. */
export interface World extends AsyncDisposable {
  readonly base: string;
  readonly registry: GuardedRegistry;
  readonly clock: { now: number };
  /** What the other host holds. It vouches for everything, as a host that lies would. */
  readonly peer: Map<Digest, Buffer>;
  add(repository: string, canary: string): AddedImage;
}

export async function startWorld(folder: string, scheme: 'bearer' | 'basic'): Promise<World> {
  await using parts = new AsyncDisposableStack();
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') };
  const now = () => clock.now;
  const report = () => {};
  const registry = parts.use(await startGuardedRegistry({ scheme, now, tokenSeconds: 3600 }));
  const settings = { name: ORIGIN, url: registry.url, credential: undefined, realms: [], caFile: undefined };
  const origins = parts.use(startOrigins({ origins: [settings], report, home: '/', version: '0', now }));
  const store = parts.use(await openStore({ root: folder, quotaBytes: QUOTA_BYTES, contentFolder: undefined, report }));
  const peer = new Map<Digest, Buffer>();
  const pulls = parts.use(startPulls({ store, fill: peerFirst(peer, originFill({ report })), report }));
  const endpoint = parts.use(
    await startEndpoint({
      listen: [{ host: '127.0.0.1', port: 0 }],
      ...{ origins, pulls, store, catalog: store.catalog, report, now, hosts: [] },
      policies: policies({ [ORIGIN]: { access: 'proof' } }),
      defaultOrigin: ORIGIN,
      members: { fetchSmall: async (digest) => peer.get(digest), vouch: async () => true },
    }),
  );
  const running = parts.move();
  return {
    base: `http://127.0.0.1:${endpoint.addresses[0]?.port}`,
    registry,
    clock,
    peer,
    add: (repository, canary) => addImage(registry, repository, canary, Buffer.from(`layer ${canary}`)),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** As a swarm does: what another host holds does not come from the origin. */
function peerFirst(peer: ReadonlyMap<Digest, Buffer>, alone: Fill): Fill {
  return async (job, signal) => {
    const bytes = peer.get(job.draft.digest);
    if (!bytes) return alone(job, signal);
    for (let piece = 0; piece < job.draft.plan.count; piece++) {
      const { start, end } = pieceSpan(job.draft.plan, piece);
      job.arrived('peer', end - start);
      await job.draft.write(piece, [bytes.subarray(start, end)]);
    }
    await job.draft.seal(signal);
  };
}
