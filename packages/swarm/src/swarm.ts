import { join } from 'node:path';
import { type BlobStore, type Digest, Failure, type Fill, type Report, rateOf } from '@drayage/core';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { keepAcquaintances, REACH } from './acquaintances.ts';
import { formatHostPort, reachableAt } from './addresses.ts';
import { startAnnouncer } from './announcer.ts';
import { openApproach } from './approach.ts';
import type { Contact } from './contact.ts';
import { type Control, startControl } from './control.ts';
import { openDirectory } from './directory.ts';
import { askHolders } from './fill/ask-holders.ts';
import { openExchange } from './fill/exchange.ts';
import { swarmFill } from './fill/fill.ts';
import { keepMarks } from './fill/marks.ts';
import { type Mesh, type MeshParts, openMesh } from './fill/mesh.ts';
import { smallAnswerer } from './fill/small.ts';
import { vouchAnswerer } from './fill/vouch.ts';
import { loadIdentity } from './identity.ts';
import { openIntroductions } from './introductions.ts';
import { type HostPort, type JoinTarget, systemResolver } from './join.ts';
import { startJoining } from './joining.ts';
import type { SwarmKey } from './key.ts';
import { DOOR_LIMITS } from './link/door.ts';
import { linkIdentity } from './link/identity.ts';
import { listenForLinks } from './link/listen.ts';
import { LINK_LIMITS } from './link/types.ts';
import { openLinkLines } from './link-lines.ts';
import { listMembers } from './member-list.ts';
import { type SwarmNode, startNode } from './node.ts';
import { openParting } from './parting.ts';
import { watchPresence } from './presence.ts';
import { routingOf } from './routing.ts';
import type { Swarm } from './types.ts';

export interface SwarmParts {
  /** Where identity and known members are kept. */
  readonly folder: string;
  readonly keys: readonly SwarmKey[];
  readonly listen: readonly HostPort[];
  readonly linkListen: readonly HostPort[];
  readonly advertise: string | undefined;
  readonly join: readonly JoinTarget[];
  readonly zone: string | undefined;
  /** Bytes per second; undefined: as many as there are. */
  readonly uploadRate: number | undefined;
  readonly downloadRate: number | undefined;
  readonly store: BlobStore;
  /** What this host may vouch for: that it proved the repository public at its origin, and saw the blob in it. */
  readonly isProven: (repository: string, digest: Digest) => boolean;
  /** Every blob that others may come for. */
  readonly held: () => readonly Digest[];
  readonly originFill: Fill;
  readonly report: Report;
}

/** Joins the swarm, serves its members, and fills from them. */
export async function startSwarm(parts: SwarmParts): Promise<Swarm> {
  const { folder, store, report } = parts;
  await using stack = new AsyncDisposableStack();
  const identity = await loadIdentity(join(folder, 'identity'));
  const node = await startNode({ ...parts, identity });
  stack.defer(() => node.stop());
  const member = node.peerId.toString();
  const routing = routingOf(node);
  const marks = keepMarks(Date.now);

  // Who links with us asks for parts, parts ask for links: each finds the other when it is needed.
  const lines = openLinkLines((member) => mesh.linkTo(member));
  const mesh = openMesh({
    links: await linkOptions(parts, identity),
    listenerOf: (digest) => exchange.parts.of(digest),
    startListener: (digest) => exchange.parts.serve(digest),
    isBarred: marks.isBarred,
    shun: marks.shun,
    heardCaught: (member, caught) => exchange.heardCaught(member, caught),
    lines,
    report,
  });
  stack.use(mesh);
  const links = await listenOn(parts.linkListen, mesh, stack);
  const self: Contact = { member, zone: parts.zone, links: reachableAt(links, parts.advertise) };

  const shared = { node, routing, report, now: Date.now, random: Math.random };
  const presence = stack.use(watchPresence(shared));
  const among = { ...shared, presence, control: () => control, reach: REACH };
  const acquaintances = keepAcquaintances(node, routing);
  const introductions = openIntroductions({ ...among, acquaintances });
  const parting = openParting({ ...among, acquaintances });
  const approach = openApproach({ ...among, self: member, acquaintances });
  const directory = openDirectory({ ...among, self, ...approach });
  const exchange = openExchange({ ...parts, identity, self, mesh, marks, directory, control: () => control });
  const own = { small: smallAnswerer(store), vouch: vouchAnswerer(parts.isProven) };
  const meeting = { ...introductions.answerers, ...approach.answerers, ...parting.answerers };
  const answerers = { ...directory.answerers, ...meeting, ...exchange.answerers, ...own };
  const control: Control = stack.use(await startControl({ ...shared, ...parting, presence, answerers, lines }));
  stack.use(exchange);
  const announcer = stack.use(
    startAnnouncer({ ...shared, directory, approach, parting, held: parts.held, watch: presence.watch }),
  );
  const file = join(folder, 'members');
  const doors = { targets: parts.join, resolver: systemResolver, file };
  stack.use(startJoining({ ...shared, introductions, approach, parting, presence, ...doors }));

  const isAlone = () => routing.size() === 0;
  const running = stack.move();
  return {
    member,
    addresses: addressesOf(node, self),
    fill: swarmFill({ ...parts, ...exchange, ...approach, isAlone, take: exchange.parts.fill }),
    ...askHolders({ isAlone, isTrusted: marks.isTrusted, directory, control }),
    announce: announcer.announce,
    withdraw: announcer.withdraw,
    homes: (digest) => directory.homes(digest),
    members: () =>
      listMembers({ mesh, marks, contactOf: exchange.roll.contactOf, connected: node.getPeers().map(String) }),
    explain: exchange.stories.of,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function addressesOf(node: SwarmNode, { links }: Contact): Swarm['addresses'] {
  const swarm = node.getMultiaddrs().map((address) => formatHostPort(hostPortOf(address)));
  return { swarm, links: links.map(formatHostPort) };
}

async function linkOptions(
  { keys, uploadRate, downloadRate }: SwarmParts,
  identity: Ed25519PrivateKey,
): Promise<MeshParts['links']> {
  const rate = (bytesPerSecond: number | undefined) =>
    bytesPerSecond === undefined ? undefined : rateOf(bytesPerSecond, () => performance.now());
  return {
    identity: await linkIdentity(identity),
    swarmKeys: keys.map((key) => key.derive('links')),
    upload: rate(uploadRate),
    download: rate(downloadRate),
    limits: LINK_LIMITS,
  };
}

async function listenOn(
  addresses: readonly HostPort[],
  { linkParts, admits }: Mesh,
  stack: AsyncDisposableStack,
): Promise<readonly HostPort[]> {
  const listening: HostPort[] = [];
  for (const { host, port } of addresses) {
    try {
      const listener = await listenForLinks({ ...linkParts, host, port, admits, doorLimits: DOOR_LIMITS });
      listening.push(stack.use(listener));
    } catch (error) {
      throw new Failure('options_invalid', `links cannot be accepted on ${formatHostPort({ host, port })}`, {
        cause: error,
      });
    }
  }
  return listening;
}

/** Of `/ip4/10.0.0.1/tcp/5052/…`. */
function hostPortOf(address: Multiaddr): HostPort {
  const [, , host = '', , port] = address.toString().split('/');
  return { host, port: Number(port) };
}
