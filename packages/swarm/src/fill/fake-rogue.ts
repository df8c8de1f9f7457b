import type { Digest } from '@drayage/core';
import { planPieces } from '@drayage/core';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Contact } from '../contact.ts';
import type { Answerer } from '../control.ts';
import { dialLink } from '../link/dial.ts';
import { DOOR_LIMITS } from '../link/door.ts';
import { listenForLinks } from '../link/listen.ts';
import type { Link, LinkParts, OpenTerms, Outgoing, Wanted } from '../link/types.ts';
import { type Attestations, attestations } from './attestation.ts';
import { type FakeHost, type FakeSwarm, linkOptionsOf, never, newIdentity } from './fake-hosts.ts';
import { hashPiece } from './piece-hash.ts';

/** A member that has the key of the swarm and nothing else in common with it: what it does is written by hand. */
export interface Rogue {
  readonly member: string;
  readonly contact: Contact;
  readonly attestations: Attestations;
  readonly links: Link[];
  /** Why its links ended, as it saw it. */
  readonly ends: string[];
  /** The other side opened a blob, or answered. */
  onOpen: (link: Link, channel: number, digest: Digest, terms: OpenTerms) => void;
  onWant: (link: Link, wanted: Wanted) => void;
  onClose: () => void;
  /** How many channels were opened to it. */
  opened: number;
  answer(answerers: Readonly<Record<string, Answerer>>): void;
  dial(host: FakeHost): Promise<Link>;
}

export async function startRogue(swarm: FakeSwarm): Promise<Rogue> {
  const identity = await newIdentity();
  const member = peerIdFromPrivateKey(identity).toString();
  const links: Link[] = [];
  const ends: string[] = [];
  const parts: LinkParts = { ...(await linkOptionsOf(identity)), handlersFor, report: () => {} };

  function handlersFor(link: Link): ReturnType<LinkParts['handlersFor']> {
    links.push(link);
    const nothing = () => {};
    return {
      opened(channel, digest, terms) {
        rogue.opened++;
        rogue.onOpen(link, channel, digest, terms);
      },
      closed: () => rogue.onClose(),
      wants: (wanted) => rogue.onWant(link, wanted),
      ended: (reason) => void ends.push(reason),
      arrived: () => undefined,
      ...{ has: nothing, lost: nothing, offered: nothing, declined: nothing },
      ...{ cancelled: nothing, isBusy: nothing, isGone: nothing, caught: nothing },
      ...{ questioned: nothing, answered: nothing },
    };
  }

  const at = { host: '127.0.0.1', port: 0, admits: () => true, doorLimits: DOOR_LIMITS };
  const { host, port } = swarm.use(await listenForLinks({ ...parts, ...at }));
  const rogue: Rogue = {
    ...{ member, links, ends, attestations: attestations(identity) },
    contact: { member, links: [{ host, port }], zone: undefined },
    onOpen: () => {},
    onWant: () => {},
    onClose: () => {},
    opened: 0,
    answer: (answerers) => void swarm.answerers.set(member, answerers),
    dial: ({ member: other, contact }) =>
      dialLink(parts, { member: other, host: contact.links[0]?.host ?? '', port: contact.links[0]?.port ?? 0 }, never),
  };
  swarm.use({
    async [Symbol.asyncDispose]() {
      for (const link of links) link.end('closed');
    },
  });
  return rogue;
}

/** Answers whoever opens a blob of this size, and claims to have all of it. */
export function claimAll(rogue: Rogue, size: number): void {
  const pieces = Array.from({ length: planPieces(size).count }, (_, piece) => piece);
  rogue.onOpen = (link, _channel, digest, { isAnswer }) => {
    if (isAnswer) return;
    const own = link.open(digest, { zone: undefined, isAnswer: true });
    if (own === undefined) return;
    link.have(own, pieces, 0);
    link.offer(own, true);
  };
}

/** The bytes of a wanted piece of a blob. */
export function pieceOf(blob: Buffer, piece: number): Buffer {
  const { pieceBytes } = planPieces(blob.length);
  return blob.subarray(piece * pieceBytes, (piece + 1) * pieceBytes);
}

/** The same with one bit flipped. */
export function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy[1000] = (copy[1000] ?? 0) ^ 1;
  return copy;
}

export function attest(by: Attestations, digest: Digest, piece: number, bytes: Buffer): Buffer {
  return by.make(digest, piece, hashPiece(bytes).hash);
}

export function outgoing({ channel, piece }: Wanted, bytes: Buffer, attestation: Buffer): Outgoing {
  const read = async (into: Buffer, offset: number) => bytes.copy(into, 0, offset, offset + into.length);
  return { channel, piece, length: bytes.length, attestation, read };
}
