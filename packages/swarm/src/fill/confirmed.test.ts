import { randomBytes } from 'node:crypto';
import { type BlobStore, planPieces, sha256 } from '@drayage/core';
import { fakeRemote, memoryStore } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import { type FakeHost, type FakeSwarm, startFakeSwarm } from './fake-hosts.ts';
import { attest, claimAll, flipped, outgoing, pieceOf, startRogue } from './fake-rogue.ts';

const SIZE = 9_000_000;
const BLOB = randomBytes(SIZE);
const DIGEST = sha256(BLOB);
const LAST = planPieces(SIZE).count - 1;

/** A store whose draft is sealed once its reader waits for nothing but this piece. */
function sealingWith(piece: number): BlobStore {
  const store = memoryStore();
  return {
    ...store,
    async draft(digest, size) {
      const draft = await store.draft(digest, size);
      if (!draft) return undefined;
      const isThere = () => expect(draft.waiting().map((waiting) => waiting.piece)).toEqual([piece]);
      const seal: typeof draft.seal = async (signal) => {
        await vi.waitFor(isThere, 5000);
        return await draft.seal(signal);
      };
      return Object.assign(Object.create(draft), { seal });
    },
  };
}

/** Holders of the blob, and a home that is none. */
async function withHolders(swarm: FakeSwarm, count: number): Promise<void> {
  const stores = Array.from({ length: count }, () => memoryStore());
  for (const store of stores) await store.put(DIGEST, BLOB);
  const hosts = await Promise.all(stores.map((store) => swarm.host(store)));
  swarm.holders.push(...hosts.map(({ contact }) => contact));
  swarm.homes.push((await swarm.host()).member);
}

const notesOf = ({ exchange }: FakeHost) => exchange.stories.of(DIGEST)[0]?.notes.map(({ text }) => text);

test.concurrent('what two holders of the whole agree on is read as it comes', async () => {
  await using swarm = startFakeSwarm();
  await withHolders(swarm, 2);
  const host = await swarm.host(sealingWith(LAST));
  expect(await host.pull(BLOB, fakeRemote(new Map()))).toMatchObject({ read: 'right', origin: 0 });
  expect(notesOf(host)).toContainEqual(expect.stringContaining('agree on its pieces'));
});

test.concurrent('what one holder says is held until the whole is proven, and the story says so', async () => {
  await using swarm = startFakeSwarm();
  await withHolders(swarm, 1);
  const host = await swarm.host(sealingWith(0));
  expect(await host.pull(BLOB, fakeRemote(new Map()))).toMatchObject({ read: 'right', origin: 0 });
  expect(notesOf(host)).toContainEqual(expect.stringContaining('is held'));
});

test.concurrent('a member that forges pieces beside two holders that agree is held off and convicted', async () => {
  await using swarm = startFakeSwarm();
  const rogue = await startRogue(swarm);
  rogue.answer({});
  claimAll(rogue, SIZE);
  rogue.onWant = (link, wanted) => {
    const piece = flipped(pieceOf(BLOB, wanted.piece));
    const word = attest(rogue.attestations, DIGEST, wanted.piece, piece);
    link.send(outgoing(wanted, piece, word)).catch(() => undefined);
  };
  await withHolders(swarm, 2);
  swarm.holders.unshift(rogue.contact);
  const host = await swarm.host();
  const remote = fakeRemote(new Map([[DIGEST, BLOB]]));
  expect((await host.pull(BLOB, remote)).read).toBe('right');
  await vi.waitFor(() => expect(host.marks.list().get(rogue.member)?.why).toBe('lie'));
});
