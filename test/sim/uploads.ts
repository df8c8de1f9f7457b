import type { MemberDecision } from '@drayage/exchange';
import type { Host } from './host.ts';
import { falseHash, hostOf, later, pieceBytes, stopUpload, trueHash, uploadKey, type World } from './world.ts';

/** Bytes a ms of those who dribble. */
const DRIBBLE: number = 1024 / 1000;

/** What a vicious host lets through, in bytes a ms. */
export function capOf({ vice }: Host): number {
  return vice === 'dribbles' ? DRIBBLE : Number.POSITIVE_INFINITY;
}

export function startUpload(world: World, host: Host, decision: Extract<MemberDecision, { kind: 'serve' }>): void {
  const { to, piece, attestation } = decision;
  if (host.vice === 'mute') return;
  const other = hostOf(world, to);
  const key = uploadKey(world, to, piece);
  const hash =
    host.vice === 'flips' ? falseHash(piece, 'flipped', host.id) : (host.wrong.get(piece) ?? trueHash(piece));
  const bytes = pieceBytes(world, piece);

  function done(): void {
    host.uploads.delete(key);
    world.tally.peerBytes += bytes;
    if (host.member.zone === other.member.zone) world.tally.nearBytes += bytes;
    // What is said from now on comes after it.
    later(world, world.halfRtt, () => {
      if (host.isAlive) world.step(other, { kind: 'arrived', link: host.id, piece, hash, attestation });
    });
    world.step(host, { kind: 'sent', link: to, piece, isWhole: true });
  }

  const isWanted = other.member.transfers.some(
    (transfer) => transfer.link.member === host.id && transfer.piece === piece,
  );
  // Cancelled while it was on its way, which the host hears of by itself.
  if (!other.isAlive || !isWanted || !host.member.links.has(to)) return;
  const flow = world.network.start({ from: host.id, to, bytes, cap: capOf(host), done }, world.now);
  host.uploads.set(key, flow);
}

export function stopFlowsBetween(world: World, host: Host, other: Host): void {
  for (const [from, to] of [
    [host, other],
    [other, host],
  ] as const) {
    for (const [key, flow] of from.uploads) if (flow.to === to.id) stopUpload(world, from, key, flow);
  }
}
