import { randomBytes } from 'node:crypto';
import { type Digest, sha256 } from '@drayage/core';
import { fakeRemote } from '@drayage/core/testing';
import { expect, test, vi } from 'vitest';
import { type FakeSwarm, startFakeSwarm } from './fake-hosts.ts';
import { attest, claimAll, outgoing, pieceOf, type Rogue, startRogue } from './fake-rogue.ts';

/** All pieces are of one length: whichever is looked at costs the origin the same. */
const BYTES: Buffer = randomBytes(6 * 256 * 1024);
const DIGEST: Digest = sha256(BYTES);

/** A member that has the blob, gives a piece of it, and the others once it is let. */
async function startHolder(swarm: FakeSwarm): Promise<{ readonly rogue: Rogue; sent(): number; let(): void }> {
  const rogue = await startRogue(swarm);
  const asked = Promise.withResolvers<void>();
  let sent = 0;
  claimAll(rogue, BYTES.length);
  rogue.onWant = async (link, wanted) => {
    if (sent > 0) await asked.promise;
    const piece = pieceOf(BYTES, wanted.piece);
    const attestation = attest(rogue.attestations, DIGEST, wanted.piece, piece);
    if (await link.send(outgoing(wanted, piece, attestation)).catch(() => false)) sent++;
  };
  swarm.holders.push(rogue.contact);
  return { rogue, sent: () => sent, let: asked.resolve };
}

test('two who say that they caught a member have one piece of it looked at, and one who says it twice has not', async () => {
  await using swarm = startFakeSwarm();
  const remote = fakeRemote(new Map([[DIGEST, BYTES]]));
  const host = await swarm.host();
  swarm.homes.push(host.member);
  const [first, second] = [await startHolder(swarm), await startHolder(swarm)];
  const [one, other] = [await startRogue(swarm), await startRogue(swarm)].map(({ member }) => member);
  const pull = host.pull(BYTES, remote);
  await vi.waitFor(() => expect([first.sent(), second.sent()]).toEqual([1, 1]), { timeout: 5000 });
  for (const by of [one, one, first.rogue.member]) host.exchange.heardCaught(by ?? '', first.rogue.member);
  for (const by of [one, other]) host.exchange.heardCaught(by ?? '', second.rogue.member);
  for (const by of [one, other]) host.exchange.heardCaught(by ?? '', host.member);
  const nobody = (await startRogue(swarm)).member;
  for (const by of [one, other]) host.exchange.heardCaught(by ?? '', nobody);
  await vi.waitFor(() => expect(remote.sentBytes).toBe(pieceOf(BYTES, 0).length), { timeout: 5000 });
  for (const holder of [first, second]) holder.let();
  expect(await pull).toMatchObject({ read: 'right', origin: pieceOf(BYTES, 0).length });
  expect(remote.sentBytes).toBe(pieceOf(BYTES, 0).length);
  expect([...host.marks.list().keys()]).toEqual([]);
  expect(host.exchange.roll.knownAs(nobody)).toBeUndefined();
});
