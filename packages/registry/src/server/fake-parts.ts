import { connect, type Socket } from 'node:net';
import { type Catalog, type Digest, Failure, type Happening, type OpenBlob, type Pulls, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import type { Demand } from '../origin/demand.ts';
import type { Caller, GatedOrigins, PassedOn, Pushed } from '../origin/types.ts';
import { type Endpoint, type EndpointParts, startEndpoint } from './endpoint.ts';
import { pushedTo } from './fake-push.ts';
import { type OriginRules, policies } from './policy.ts';

export const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';

/** What an origin for tests holds. */
export interface ImageShelves {
  /** By `repository tag` or `repository digest`. */
  readonly manifests: Map<string, { mediaType: string; bytes: Buffer }>;
  /** By `repository digest`. */
  readonly blobs: Map<string, Buffer>;
}

/** An origin for tests, and how it misbehaves. */
export interface FakeOrigin extends ImageShelves {
  /** Each question, as `caller verb repository what`. */
  readonly asked: string[];
  state: 'up' | 'down' | 'silent' | 'private';
  /** Answers wait for this. */
  gate: Promise<void>;
  /** Leaves the digest out of what it says of a manifest. */
  hidesDigest: boolean;
  list: PassedOn | undefined;
  /** How it wants to be shown a credential. */
  demand: Demand | undefined;
  /** What has come of uploads, by the path of their address. */
  readonly uploads: Map<string, Buffer>;
  /** What it says to every push instead. */
  refusesPush: Pushed | undefined;
}

function fakeOrigin(): FakeOrigin {
  return {
    manifests: new Map(),
    blobs: new Map(),
    asked: [],
    state: 'up',
    gate: Promise.resolve(),
    hidesDigest: false,
    list: undefined,
    demand: undefined,
    uploads: new Map(),
    refusesPush: undefined,
  };
}

export interface AddedImage {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly config: Digest;
  readonly layer: Digest;
  readonly layerBytes: Buffer;
}

/** Puts an image with one layer and one config into an origin. */
export function addImage(
  origin: ImageShelves,
  repository: string,
  tag: string,
  layer: Buffer = Buffer.from(`layer of ${tag}`),
): AddedImage {
  const config = Buffer.from(`{"tag":"${tag}"}`);
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: sha256(bytes), size: bytes.length });
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_IMAGE,
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
    }),
  );
  const digest = sha256(bytes);
  for (const reference of [tag, digest])
    origin.manifests.set(`${repository} ${reference}`, { mediaType: OCI_IMAGE, bytes });
  for (const blob of [config, layer]) origin.blobs.set(`${repository} ${sha256(blob)}`, blob);
  return { digest, bytes, config: sha256(config), layer: sha256(layer), layerBytes: layer };
}

function fakeOrigins(origins: Readonly<Record<string, FakeOrigin>>): GatedOrigins {
  return {
    has: (name) => name in origins,
    repository(name, path, caller) {
      const origin = origins[name];
      if (!origin) throw new Failure('name_unknown', name);
      const ask = (what: string, signal: AbortSignal) => answerAs(origin, caller, `${caller.kind} ${what}`, signal);
      return {
        origin: name,
        async stat(digest, signal) {
          await ask(`stat ${path} ${digest}`, signal);
          return origin.blobs.get(`${path} ${digest}`)?.length;
        },
        async *read(digest, { start, end }, signal) {
          await ask(`read ${path} ${digest}`, signal);
          yield origin.blobs.get(`${path} ${digest}`)?.subarray(start, end) ?? Buffer.alloc(0);
        },
        async headManifest(reference, signal) {
          await ask(`head ${path} ${reference}`, signal);
          const found = origin.manifests.get(`${path} ${reference}`);
          const digest = origin.hidesDigest || !found ? undefined : sha256(found.bytes);
          return found && { digest, mediaType: found.mediaType, size: found.bytes.length };
        },
        async getManifest(reference, accept, signal) {
          await ask(`get ${path} ${reference}${accept === undefined ? '' : ` as ${accept}`}`, signal);
          const found = origin.manifests.get(`${path} ${reference}${accept === undefined ? '' : ` ${accept}`}`);
          return found && { ...found, digest: sha256(found.bytes) };
        },
        async listTags(query, signal) {
          await ask(`tags ${path} ${query}`, signal);
          return origin.list;
        },
        async referrers(digest, query, signal) {
          await ask(`referrers ${path} ${digest} ${query}`, signal);
          return origin.list;
        },
        async push(push, signal) {
          await ask(
            `${push.method} ${path} ${push.to instanceof URL ? push.to.pathname + push.to.search : push.to}`,
            signal,
          );
          return await pushedTo(origin, path, push);
        },
      };
    },
    gate: (name) => ({
      demand: async () => origins[name]?.demand,
      login: async () => {
        throw new Failure('unauthorized', 'the fake origin knows nobody');
      },
    }),
    status: () => [],
    async [Symbol.asyncDispose]() {},
  };
}

async function answerAs(origin: FakeOrigin, caller: Caller, what: string, signal: AbortSignal): Promise<void> {
  origin.asked.push(what);
  await origin.gate;
  if (origin.state === 'down') throw new Failure('origin_unavailable', 'the fake origin is down');
  if (origin.state === 'private' && caller.kind !== 'agent') throw new Failure('unauthorized', 'who are you');
  if (origin.state !== 'silent') return;
  await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

function fakeCatalog(now: () => number): Catalog {
  const facts = new Map<Digest, { repositories: string[]; mediaType: string | undefined; size: number | undefined }>();
  const tags = new Map<string, { repository: string; tag: string; digest: Digest; seenAt: number }>();
  const open = new Map<string, number>();
  return {
    note(digest, { repository, mediaType, size }) {
      const known = facts.get(digest) ?? { repositories: [], mediaType, size };
      if (!known.repositories.includes(repository)) known.repositories.push(repository);
      facts.set(digest, known);
    },
    belongs: (digest, repository) => facts.get(digest)?.repositories.includes(repository) ?? false,
    facts: (digest) => facts.get(digest),
    rememberTag: (repository, tag, digest) =>
      tags.set(`${repository}:${tag}`, { repository, tag, digest, seenAt: now() }),
    recallTag: (repository, tag) => tags.get(`${repository}:${tag}`),
    tags: () => [...tags.values()],
    rememberPublic: (repository) => open.set(repository, now()),
    recallPublic: (repository) => open.get(repository),
    forgetPublic: (repository) => open.delete(repository),
  };
}

/** An endpoint on a free port with everything around it made up. */
export interface Lab extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly port: number;
  readonly base: string;
  readonly hub: FakeOrigin;
  readonly other: FakeOrigin;
  readonly store: ReturnType<typeof memoryStore>;
  readonly happenings: Happening[];
  readonly clock: { now: number };
  /** Blobs that are opened in place of the origin's own. */
  readonly scripted: Map<Digest, () => OpenBlob>;
  readonly disposed: Digest[];
}

export async function startLab(
  rules: Readonly<Record<string, OriginRules>> = {},
  more: Partial<EndpointParts> = {},
): Promise<Lab> {
  const clock = { now: 1_000_000_000_000 };
  const hub = fakeOrigin();
  const other = fakeOrigin();
  const happenings: Happening[] = [];
  const store = memoryStore();
  const scripted: Lab['scripted'] = new Map();
  const disposed: Digest[] = [];
  const endpoint = await startEndpoint({
    listen: [{ host: '127.0.0.1', port: 0 }],
    origins: fakeOrigins({ 'docker.io': hub, 'registry.example.com': other, 'plain.example.com:5080': other }),
    pulls: fakePulls(store, { scripted, disposed }),
    store,
    catalog: fakeCatalog(() => clock.now),
    policies: policies(rules),
    defaultOrigin: 'docker.io',
    hosts: ['drayage.internal:8080'],
    report: (happening) => happenings.push(happening),
    now: () => clock.now,
    ...more,
  });
  const port = endpoint.addresses[0]?.port ?? 0;
  const base = `http://127.0.0.1:${port}`;
  const dispose = () => endpoint[Symbol.asyncDispose]();
  return {
    endpoint,
    port,
    base,
    hub,
    other,
    store,
    happenings,
    clock,
    scripted,
    disposed,
    [Symbol.asyncDispose]: dispose,
  };
}

function fakePulls(store: Lab['store'], { scripted, disposed }: Pick<Lab, 'scripted' | 'disposed'>): Pulls {
  return {
    async open({ digest, size, remote }, signal) {
      const blob = scripted.get(digest)?.() ?? (await store.open(digest));
      if (blob) return watched(blob, async () => void disposed.push(digest));
      const total = size ?? (await remote.stat(digest, signal));
      if (total === undefined) return undefined;
      const chunks = await Array.fromAsync(remote.read(digest, { start: 0, end: total }, signal));
      return openBlob(Buffer.concat(chunks), 'origin', {
        digest,
        [Symbol.asyncDispose]: async () => void disposed.push(digest),
      });
    },
    async keep({ digest, size, remote }, signal) {
      const chunks = await Array.fromAsync(remote.read(digest, { start: 0, end: size }, signal));
      return await store.put(digest, Buffer.concat(chunks));
    },
    list: () => [],
    async [Symbol.asyncDispose]() {},
  };
}

/** The same blob, which may still change its source, with another end. */
function watched(blob: OpenBlob, end: () => Promise<void>): OpenBlob {
  return Object.create(blob, { [Symbol.asyncDispose]: { value: end } });
}

/** A blob over bytes at hand, with any part of it replaced. */
export function openBlob(bytes: Buffer, source: OpenBlob['source'], changes: Partial<OpenBlob> = {}): OpenBlob {
  return {
    digest: sha256(bytes),
    size: bytes.length,
    source,
    read: async (into, offset) => bytes.copy(into, 0, offset),
    async [Symbol.asyncDispose]() {},
    ...changes,
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Sends bytes as they are and reads the answer until the connection ends. */
export async function sendRaw(port: number, text: string | Buffer): Promise<RawAnswer> {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  const all = Buffer.concat(chunks);
  const end = all.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = all.subarray(0, Math.max(end, 0)).toString('latin1').split('\r\n');
  const headers = lines.map(
    (line) => [line.split(':', 1)[0]?.toLowerCase() ?? '', line.slice(line.indexOf(':') + 1).trim()] as const,
  );
  return { status: Number(statusLine.split(' ')[1]), headers: new Map(headers), body: all.subarray(end + 4) };
}
