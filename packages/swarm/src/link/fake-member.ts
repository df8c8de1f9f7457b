import { randomBytes } from 'node:crypto';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { type DialTarget, dialLink } from './dial.ts';
import { DOOR_LIMITS, type DoorLimits } from './door.ts';
import { linkIdentity } from './identity.ts';
import { type LinkListener, listenForLinks } from './listen.ts';
import {
  LINK_LIMITS,
  type Link,
  type LinkEvent,
  type LinkHandlers,
  type LinkLimits,
  type LinkParts,
  type PiecePart,
  type Wanted,
} from './types.ts';

export const SWARM_KEY: Buffer = randomBytes(32);

/** What a member's handlers were told, and what they do about it. */
interface Told {
  readonly lines: string[];
  readonly events: LinkEvent[];
  readonly links: Link[];
  onWant: (wanted: Wanted, link: Link) => void;
  onPart: (part: PiecePart, link: Link) => Promise<void> | undefined;
  /** Resolves when a line begins with this, then and each time it is asked again. */
  line(start: string): Promise<string>;
  event(kind: LinkEvent['kind']): Promise<LinkEvent>;
}

export interface FakeMember extends AsyncDisposable {
  readonly parts: LinkParts;
  readonly told: Told;
  readonly listener: LinkListener;
  dial(other: FakeMember, target?: Partial<DialTarget>): Promise<Link>;
}

export interface FakeOptions {
  readonly swarmKeys?: readonly Buffer[];
  readonly limits?: Partial<LinkLimits>;
  readonly doorLimits?: DoorLimits;
  readonly upload?: LinkParts['upload'];
  readonly download?: LinkParts['download'];
  readonly admits?: (member: string) => boolean;
}

/** A member that accepts links on loopback and writes down what it is told. */
export async function fakeMember(options: FakeOptions = {}): Promise<FakeMember> {
  const told = writeDown();
  const parts: LinkParts = {
    identity: await linkIdentity(await generateKeyPair('Ed25519')),
    swarmKeys: options.swarmKeys ?? [SWARM_KEY],
    handlersFor: (link) => handlersOf(link, told),
    report: told.report,
    upload: options.upload,
    download: options.download,
    limits: { ...LINK_LIMITS, ...options.limits },
  };
  const { admits = () => true, doorLimits = DOOR_LIMITS } = options;
  const listener = await listenForLinks({ ...parts, host: '127.0.0.1', port: 0, admits, doorLimits });
  return {
    parts,
    told,
    listener,
    dial: (other, target = {}) => {
      const { host, port } = other.listener;
      const whole = { member: other.parts.identity.member, host, port, ...target };
      return dialLink(parts, whole, new AbortController().signal);
    },
    async [Symbol.asyncDispose]() {
      for (const link of told.links) link.end('closed');
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** Both ends of a new link. */
export async function linked(one: FakeMember, other: FakeMember): Promise<[here: Link, there: Link]> {
  const here = await one.dial(other);
  await other.told.event('link_opened');
  const there = other.told.links.at(-1);
  if (there === undefined) throw new Error('no link');
  return [here, there];
}

function handlersOf(link: Link, told: Told & { tell(line: string): void }): LinkHandlers {
  told.links.push(link);
  return {
    opened: (channel, digest, { zone }) => told.tell(`opened ${channel} ${digest} ${zone}`),
    closed: (channel) => told.tell(`closed ${channel}`),
    has: (channel, pieces, inFlight) => told.tell(`has ${channel} with ${inFlight}: ${[...pieces].join(' ')}`),
    lost: (channel, pieces) => told.tell(`lost ${channel}: ${[...pieces].join(' ')}`),
    offered: (channel, insists) => told.tell(`offered ${channel} ${insists ? 'insisting' : 'politely'}`),
    declined: (channel, inFlight) => told.tell(`declined ${channel} ${inFlight}`),
    wants(wanted) {
      told.tell(`wants ${wanted.channel} ${wanted.piece} ${wanted.inFlight}`);
      told.onWant(wanted, link);
    },
    cancelled: (channel, piece) => told.tell(`cancelled ${channel} ${piece}`),
    arrived(part) {
      if (part.isLast) told.tell(`whole ${part.channel} ${part.piece}`);
      return told.onPart(part, link);
    },
    isBusy: (channel, piece) => told.tell(`busy ${channel} ${piece}`),
    isGone: (channel, piece) => told.tell(`gone ${channel} ${piece}`),
    caught: (member) => told.tell(`caught ${member}`),
    questioned: (message) => told.tell(`questioned ${message}`),
    answered: (message) => told.tell(`answered ${message}`),
    ended: (reason) => told.tell(`ended ${reason}`),
  };
}

function writeDown(): Told & { tell(line: string): void; report(event: LinkEvent): void } {
  const lines: string[] = [];
  const events: LinkEvent[] = [];
  let { promise: news, resolve: wake } = Promise.withResolvers<void>();
  const told = () => {
    wake();
    ({ promise: news, resolve: wake } = Promise.withResolvers<void>());
  };
  return {
    lines,
    events,
    links: [],
    onWant: () => {},
    onPart: () => undefined,
    async line(start) {
      for (;;) {
        const found = lines.find((line) => line.startsWith(start));
        if (found !== undefined) return found;
        await news;
      }
    },
    async event(kind) {
      for (;;) {
        const found = events.find((event) => event.kind === kind);
        if (found !== undefined) return found;
        await news;
      }
    },
    tell(line) {
      lines.push(line);
      told();
    },
    report(event) {
      events.push(event);
      told();
    },
  };
}
