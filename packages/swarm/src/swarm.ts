import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, type Digest, describe, type Fill, matches, type Rate, type Report, rateOf } from '@drayage/core';
import { newStanding } from '@drayage/exchange';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Contact } from './contact.ts';
import { type Answerer, type Control, startControl } from './control.ts';
import { type Directory, openDirectory } from './directory.ts';
import { attestations } from './fill/attestation.ts';
import { pieceBuffers } from './fill/buffers.ts';
import { type Desk, openDesk } from './fill/desk.ts';
import { swarmFill } from './fill/fill.ts';
import { openHomeLine } from './fill/home-line.ts';
import { openMesh } from './fill/mesh.ts';
import { type Shared } from './fill/part.ts';
import { keepParts, type Parts } from './fill/parts.ts';
import { openRoll } from './fill/roll.ts';
import { fetchSmall, smallAnswerer } from './fill/small.ts';
import { keepStories } from './fill/story.ts';
import { loadIdentity } from './identity.ts';
import { type HostPort, type JoinTarget, systemResolver } from './join.ts';
import { startJoining } from './joining.ts';
import type { SwarmKey } from './key.ts';
import { DOOR_LIMITS } from './link/door.ts';
import { linkIdentity } from './link/identity.ts';
import { listenForLinks } from './link/listen.ts';
import { LINK_LIMITS } from './link/types.ts';
import { startNode } from './node.ts';
import { routingOf } from './routing.ts';
import type { MemberStatus, Swarm } from './types.ts';

/** Sealed blobs are told to the directory together, after this long. */
const ANNOUNCE_EVERY_MS = 50;
const LINK_ADDRESSES_MAX = 8;

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
  const marks = keepMarks();

  // Who links with us asks for parts, parts ask for links: each finds the other when it is needed.
  const mesh = openMesh({
    links: await linkOptions(parts, identity),
    listenerOf: (digest) => exchange.parts.of(digest),
    startListener: (digest) => exchange.parts.serve(digest),
    isBarred: marks.isBarred,
    report,
  });
  stack.use(mesh);
  const links = await listenOn(parts.linkListen, mesh, stack);
  const self: Contact = { member, zone: parts.zone, links: reachableAt(parts, links) };

  const directory = openDirectory({ self, routing, control: () => control, report, now: Date.now, random: Math.random });
  const exchange = openExchange({ ...parts, identity, self, mesh, marks, directory, control: () => control });
  const answerers = { ...directory.answerers, ...exchange.answerers, small: smallAnswerer(store) };
  const control: Control = stack.use(await startControl({ node, answerers, report, now: Date.now }));
  stack.use(exchange);
  stack.use(
    startJoining({ node, routing, targets: parts.join, resolver: systemResolver, file: join(folder, 'members'), report }),
  );

  const stop = new AbortController();
  stack.defer(() => stop.abort(new Error('the agent is stopping')));
  const running = stack.move();
  return {
    member,
    addresses: {
      swarm: node.getMultiaddrs().map((address) => `${address.nodeAddress().address}:${address.nodeAddress().port}`),
      links: self.links.map(({ host, port }) => formatHostPort(host, port)),
    },
    fill: swarmFill({
      ...{ originFill: parts.originFill, stories: exchange.stories, report },
      isAlone: () => routing.size() === 0,
      take: exchange.parts.fill,
    }),
    async fetchSmall(digest, signal) {
      if (routing.size() === 0) return undefined;
      return await fetchSmall(digest, await directory.find(digest, signal), control, signal);
    },
    announce: (digest) => void directory.announce([digest], stop.signal).catch(() => undefined),
    withdraw: (digest) => void directory.withdraw([digest], stop.signal).catch(() => undefined),
    members: () => membersOf({ mesh, marks, roll: exchange.roll, self, connected: () => node.getPeers().map(String) }),
    explain: exchange.stories.of,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function linkOptions({ keys, uploadRate, downloadRate }: SwarmParts, identity: Ed25519PrivateKey) {
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
      throw new Failure('options_invalid', `links cannot be accepted on ${formatHostPort(host, port)}`, {
        cause: error,
      });
    }
  }
  return listening;
}
