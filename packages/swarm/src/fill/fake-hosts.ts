import {
  type BlobStore,
  type Digest,
  Failure,
  type Happening,
  isFailure,
  originFill,
  type Remote,
  sha256,
} from '@drayage/core';
import { memoryStore, readFrom } from '@drayage/core/testing';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Contact } from '../contact.ts';
import type { Answerer, Control } from '../control.ts';
import type { Directory } from '../directory.ts';
import { DOOR_LIMITS } from '../link/door.ts';
import { SWARM_KEY } from '../link/fake-member.ts';
import { linkIdentity } from '../link/identity.ts';
import { listenForLinks } from '../link/listen.ts';
import { LINK_LIMITS } from '../link/types.ts';
import { openLinkLines } from '../link-lines.ts';
import { type Exchange, openExchange } from './exchange.ts';
import { swarmFill } from './fill.ts';
import { keepMarks, type Marks } from './marks.ts';
import { type Mesh, type MeshParts, openMesh } from './mesh.ts';

export const never: AbortSignal = new AbortController().signal;

/** Members in one process: links and exchange are real, questions are handed over directly, and the records are at hand. */
export interface FakeSwarm extends AsyncDisposable {
  /** The homes of every blob, and who is on record as holding each. */
  readonly homes: string[];
  readonly holders: Contact[];
  /** What each member answers; a home that is left out never does. */
  readonly answerers: Map<string, Readonly<Record<string, Answerer>>>;
  /** Errors other than failures that a question brought about. */
  readonly faults: unknown[];
  ask(from: string, to: string, kind: string, body: unknown): Promise<unknown>;
  host(store?: BlobStore): Promise<FakeHost>;
  use<T extends AsyncDisposable>(part: T): T;
}

/** Where the bytes of a pull came from, and what its reader got. */
interface Pulled {
  readonly peer: number;
  readonly origin: number;
  /** `right`, `wrong`, or the code of the failure that it met. */
  readonly read: string;
}

export interface FakeHost {
  readonly member: string;
  readonly contact: Contact;
  readonly store: BlobStore;
  readonly exchange: Exchange;
  readonly mesh: Mesh;
  readonly marks: Marks;
  readonly happenings: Happening[];
  /** Fills the blob with a reader at its heels. */
  pull(bytes: Buffer, remote: Remote, signal?: AbortSignal): Promise<Pulled>;
}

export function startFakeSwarm(): FakeSwarm {
  const stack = new AsyncDisposableStack();
  const swarm: FakeSwarm = {
    homes: [],
    holders: [],
    answerers: new Map(),
    faults: [],
    async ask(from, to, kind, body) {
      const answerer = swarm.answerers.get(to)?.[kind];
      if (!answerer) return await new Promise(() => {});
      try {
        const answer = await answerer(from, JSON.parse(JSON.stringify(body)));
        return JSON.parse(JSON.stringify(answer ?? null));
      } catch (error) {
        if (!isFailure(error)) swarm.faults.push(error);
        throw new Failure('origin_unavailable', `member ${to} did not answer "${kind}"`, { cause: error });
      }
    },
    host: (store = memoryStore()) => startHost(swarm, store),
    use: (part) => stack.use(part),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return swarm;
}

function controlOf(swarm: FakeSwarm, self: string): Control {
  return {
    async ask(member, kind, body, signal) {
      const late = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => late.reject(signal.reason), { once: true });
      return await Promise.race([swarm.ask(self, member.toString(), kind, body), late.promise]);
    },
    async [Symbol.asyncDispose]() {},
  };
}

export async function newIdentity(): Promise<Ed25519PrivateKey> {
  return await generateKeyPair('Ed25519');
}

/** What two sides need to link: an identity, the key of the swarm, and bounds. */
export async function linkOptionsOf(identity: Ed25519PrivateKey): Promise<MeshParts['links']> {
  const common = { swarmKeys: [SWARM_KEY], upload: undefined, download: undefined, limits: LINK_LIMITS };
  return { ...common, identity: await linkIdentity(identity) };
}

async function startHost(swarm: FakeSwarm, store: BlobStore): Promise<FakeHost> {
  const identity = await newIdentity();
  const member = peerIdFromPrivateKey(identity).toString();
  const happenings: Happening[] = [];
  const report = (happening: Happening) => void happenings.push(happening);
  const marks = keepMarks(Date.now);
  const mesh = openMesh({
    links: await linkOptionsOf(identity),
    listenerOf: (digest) => exchange.parts.of(digest),
    startListener: (digest) => exchange.parts.serve(digest),
    ...{ isBarred: marks.isBarred, shun: marks.shun, heardCaught: (...said) => exchange.heardCaught(...said), report },
    lines: openLinkLines(() => undefined),
  });
  swarm.use(mesh);
  const at = { host: '127.0.0.1', port: 0, admits: mesh.admits, doorLimits: DOOR_LIMITS };
  const { host, port } = swarm.use(await listenForLinks({ ...mesh.linkParts, ...at }));
  const self: Contact = { member, links: [{ host, port }], zone: undefined };
  const control = controlOf(swarm, member);
  const parts = { identity, self, zone: undefined, uploadRate: undefined, store, mesh, marks, report };
  const exchange = openExchange({ ...parts, directory: directoryOf(swarm, self), control: () => control });
  swarm.use(exchange);
  swarm.answerers.set(member, exchange.answerers);
  const take = exchange.parts.fill;
  const fill = swarmFill({
    ...{ stories: exchange.stories, report, take },
    originFill: originFill({ report }),
    isAlone: () => false,
    approach: async () => [],
  });

  return {
    ...{ member, contact: self, store, exchange, mesh, marks, happenings },
    async pull(bytes, remote, signal = never) {
      const from = { peer: 0, origin: 0 };
      const draft = await store.draft(sha256(bytes), bytes.length);
      if (!draft) throw new Error('no draft');
      const arrived = (source: 'peer' | 'origin', count: number) => {
        from[source] += count;
      };
      draft.begin();
      await using reader = draft.follow();
      const reading = readFrom(reader, 0).then(
        (got) => (got.equals(bytes) ? 'right' : 'wrong'),
        (error: unknown) => (isFailure(error) ? error.code : String(error)),
      );
      try {
        await fill({ draft, remote, arrived }, signal);
      } catch (error) {
        draft.fail(error as Error);
        throw error;
      }
      return { ...from, read: await reading };
    },
  };
}

function directoryOf({ homes, holders }: FakeSwarm, { member }: Contact): Directory {
  const others = (): Contact[] => holders.filter((contact) => contact.member !== member);
  return {
    answerers: {},
    announce: async () => [],
    withdraw: async () => [],
    tell: async () => [],
    nearer: () => [],
    find: async (_digest: Digest) => others(),
    known: others,
    homes: () => homes,
    forget() {},
  };
}
