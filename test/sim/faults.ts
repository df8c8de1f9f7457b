import { stopOrigin } from './act-origin.ts';
import type { Host } from './host.ts';
import { later, stopUpload, type World } from './world.ts';

/** Others hear at once of a process that dies, and after this long of a host that vanishes. */
const VANISHED_MS = 2000;

/** Puts everything that goes wrong by itself on the timeline. */
export function planFaults(world: World): void {
  const { scenario, timeline, hosts } = world;
  for (const host of hosts)
    if (host.diesAt < Number.POSITIVE_INFINITY) timeline.put(host.diesAt, () => die(world, host));
  if (scenario.holderDeathAt > 0) timeline.put(1000 * scenario.holderDeathAt, () => killHolder(world));
  if (scenario.outageTo > 0) {
    timeline.put(1000 * scenario.outageFrom, () => beginOutage(world));
    timeline.put(1000 * scenario.outageTo, () => {
      world.isOut = false;
    });
  }
}

function killHolder(world: World): void {
  const isHome = (host: Host) => host.member.homes.includes(host.id);
  const holder = world.hosts.find((host) => host.origin && host.isAlive && !isHome(host));
  if (holder) die(world, holder);
}

function beginOutage(world: World): void {
  world.isOut = true;
  for (const host of world.hosts) {
    if (!host.origin?.flow) continue;
    stopOrigin(world, host);
    world.step(host, { kind: 'origin failed' });
  }
}

function die(world: World, host: Host): void {
  if (!host.isAlive) return;
  host.isAlive = false;
  if (host.vice === undefined && !host.hasFailed && !(host.finishedAt >= 0)) world.unfinished--;
  stopOrigin(world, host);
  for (const [key, flow] of host.uploads) stopUpload(world, host, key, flow);
  for (const other of world.hosts) {
    for (const [key, flow] of other.uploads) if (flow.to === host.id) stopUpload(world, other, key, flow);
  }
  const isCrash = world.chance() < 0.5;
  later(world, isCrash ? 2 * world.halfRtt : VANISHED_MS, () => {
    for (const other of world.hosts) {
      if (other.member.links.has(host.id)) world.step(other, { kind: 'unlinked', link: host.id });
      if (other.home) world.stepHome(other, { kind: 'left', member: host.id });
      if (isCrash && other.member.origin.queue.length > 0) world.step(other, { kind: 'home lost', home: host.id });
    }
  });
}
