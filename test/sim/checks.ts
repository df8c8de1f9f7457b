import { type Home, isComplete } from '@drayage/exchange';
import type { Host } from './host.ts';
import { isTrue, violate, type World } from './world.ts';

/** What must hold after every event: the invariants I1 to I4, and the bounds. */
const LEASES_MAX = 8;
const LINKS_MAX = 24;
const TRANSFERS_MAX = 10;
/** Pieces that only one member had, or was fetching, and those that others fetch again when a home dies. */
const LOST_WITH_ONE_MAX = 24;

/** I2: what is kept matched its attestation. Only one who attests a lie can make it another's bytes. */
export function checkKept(world: World, host: Host, piece: number): void {
  const wrong = host.wrong.get(piece);
  if (host.vice === undefined && wrong?.includes('flipped')) violate(world, `host ${host.id} keeps ${wrong}`);
  const { transfers, links } = host.member;
  if (transfers.length > TRANSFERS_MAX) violate(world, `host ${host.id} has ${transfers.length} transfers in flight`);
  if (links.size > LINKS_MAX) violate(world, `host ${host.id} has ${links.size} links`);
}

/** I2: what is served matched its attestation. */
export function checkServed(world: World, host: Host, piece: number): void {
  const wrong = host.wrong.get(piece);
  if (host.vice === undefined && wrong?.includes('flipped')) violate(world, `host ${host.id} serves ${wrong}`);
}

/** I1: complete is what has every piece, and every piece right. */
export function checkComplete(world: World, host: Host): void {
  if (!isComplete(host.member)) violate(world, `host ${host.id} is complete with pieces missing`);
  for (let piece = 0; piece < world.plan.count; piece++) {
    const hash = host.wrong.get(piece) ?? host.member.hashes[piece];
    if (!isTrue(piece, hash)) violate(world, `host ${host.id} is complete with ${hash} for piece ${piece}`);
  }
}

/** I4: no more than so many fetch from the origin. */
export function checkHome(world: World, home: Home): void {
  if (home.holders.size > LEASES_MAX) violate(world, `${home.holders.size} hold leases`);
}

/** I3 and I4, when all is over. */
export function checkEnd(world: World): void {
  const { hosts, scenario, tally } = world;
  for (const host of hosts) {
    if (host.vice !== undefined || !host.isAlive || host.finishedAt >= 0) continue;
    if (isOutOfReach(world, host)) continue;
    violate(world, `host ${host.id} never completes: ${host.member.heldCount} of ${world.plan.count} pieces`);
  }
  const extra = (tally.originBytes - scenario.size) / world.plan.pieceBytes;
  if (extra > extraPiecesMax(world)) violate(world, `the origin sent ${extra.toFixed(1)} pieces too many`);
}

/**
 * I4: nothing twice, but for what is lost with those who die, what an outage cuts short, and the first piece of a slow host:
 * nobody knows it for slow before, and others need not wait for it. Lies may cost any amount.
 */
function extraPiecesMax({ hosts, scenario }: World): number {
  const { liars, forgers, mute, outageTo } = scenario;
  const [host] = hosts;
  const hasHome = host?.member.homes.some((home) => hosts[home]?.isAlive) ?? false;
  if (liars + forgers + mute > 0 || !hasHome) return Number.POSITIVE_INFINITY;
  const deaths = hosts.filter(({ isAlive }) => !isAlive).length;
  const slow = hosts.filter(({ isSlow }) => isSlow).length;
  return deaths * LOST_WITH_ONE_MAX + (outageTo > 0 ? LEASES_MAX : 0) + slow;
}

/** Nobody who is alive and honest can give it to the host, or tell it who can, or what is true. */
function isOutOfReach({ hosts, scenario }: World, { id, isRefused, hasFailed, member }: Host): boolean {
  if (!isRefused) return false;
  const isHelp = (other: Host) => other.isAlive && other.id !== id && other.vice === undefined && !other.isRefused;
  if (!hosts.some(isHelp)) return true;
  if (hasFailed && scenario.forgers > 0) return true;
  return member.homes.every((home) => !hosts[home]?.isAlive);
}
