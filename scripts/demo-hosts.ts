import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, statfs } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { formatSize } from '../packages/agent/src/index.ts';
import { AGENT_COMMAND } from '../test/lab/agent.ts';
import { type Image, image, noiseLayer } from '../test/lab/images.ts';
import { must, type Running, start, until } from '../test/lab/process.ts';
import type { StaticOrigin } from '../test/lab/static-origin.ts';

const ORIGIN = 'registry.example';
const REPOSITORY = 'demo/app';
const TAG = '1';
/** Bytes per second that the origin sends to all together, and that a host takes from others and gives them. */
export const RATE = 24e6;
/** The layers' parts of the image. */
const LAYERS = [1 / 2, 1 / 3, 1 / 6];
const READY_WAIT_MS = 60_000;
const MEET_WAIT_MS = 30_000;
const LOOK_EVERY_MS = 400;

/** What the hosts stand on. */
export interface Stage {
  readonly folder: string;
  readonly origin: StaticOrigin;
  readonly image: Image;
  /** Bytes of a whole pull: manifest, configuration and layers. */
  readonly size: number;
}

/** An agent as its runtime and its operator reach it. */
export interface Host {
  readonly name: string;
  readonly url: string;
  readonly admin: string;
}

/** Agents on their way up. Disposing it ends them, whether or not they got there. */
export interface Hosts extends AsyncDisposable {
  readonly ready: Promise<readonly Host[]>;
}

/** What one host has so far. */
export interface Progress {
  readonly host: Host;
  fromOrigin: number;
  fromHosts: number;
  /** When it had everything, counted from the beginning. */
  seconds: number | undefined;
}

/** Bytes by who gave them, the origin as `origin`, and by who got them. */
export type Gifts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Throws when what the hosts will keep has no room. */
export async function requireRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  // An agent takes no more than 80 % of what is free; two runs' files may lie there for a moment.
  if (bavail * bsize * 0.8 > bytes * 2) return;
  throw new Error(`${tmpdir()} has too little room for ${formatSize(bytes * 2)}; name another folder with TMPDIR`);
}

/** Puts an image of about that size into the origin. */
export function publish(origin: StaticOrigin, size: number): Pick<Stage, 'image' | 'size'> {
  const layers = LAYERS.map((part, at) => noiseLayer(`layer-${at}`, Math.round(size * part)));
  const made = image(layers, 'oci');
  for (const { bytes } of [made.config, ...layers]) origin.add(bytes);
  origin.addManifest(TAG, made.manifest);
  const blobs = [made.manifest, made.config, ...layers];
  return { image: made, size: blobs.reduce((sum, { bytes }) => sum + bytes.length, 0) };
}

/** Makes a key for a swarm. */
export async function makeKey(file: string): Promise<void> {
  await must(AGENT_COMMAND, ['key', 'new', file]);
}

/** Starts an agent for each name, with a folder of its own; with a key they join the first, and know each other when ready. */
export function launch(names: readonly string[], stage: Stage, key: string | undefined, signal: AbortSignal): Hosts {
  const running: Running[] = [];
  const startOne = async (name: string, more: readonly string[]) => {
    const { agent, host } = await startHost(name, stage, more, signal);
    running.push(agent);
    return host();
  };
  const startAll = async (): Promise<readonly Host[]> => {
    if (key === undefined) return await all(names.map((name) => startOne(name, [])));
    const ports = await freePorts(names.length);
    const optionsAt = (at: number) => [
      ...['--swarm-key-file', key, '--advertise', '127.0.0.1', '--link-listen', '127.0.0.1:0'],
      ...['--swarm-listen', `127.0.0.1:${ports[at]}`, '--upload-rate', `${RATE}B/s`, '--download-rate', `${RATE}B/s`],
      ...(at === 0 ? [] : ['--join', `127.0.0.1:${ports[0]}`]),
    ];
    const first = await startOne(names[0] ?? '', optionsAt(0));
    const others = await all(names.slice(1).map((name, at) => startOne(name, optionsAt(at + 1))));
    const hosts = [first, ...others];
    await until('the hosts to meet', MEET_WAIT_MS, async () => {
      if (signal.aborted) return true;
      const known = await Promise.all(hosts.map(async (host) => (await ask<Status>(host, 'status', signal)).members));
      return known.every((members) => members >= hosts.length - 1);
    });
    return hosts;
  };
  const ready = startAll();
  // Told to whoever awaits it; nobody does when something else fails first.
  ready.catch(() => undefined);
  return {
    ready,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([ready]);
      await Promise.all(running.splice(0).map((agent) => (signal.aborted ? agent.kill() : agent.stop())));
    },
  };
}

interface Started {
  readonly agent: Running;
  /** Throws when it did not become ready. */
  readonly host: () => Host;
}

async function startHost(name: string, stage: Stage, more: readonly string[], signal: AbortSignal): Promise<Started> {
  const data = join(stage.folder, more.length === 0 ? name : `${name}-swarm`);
  const log = `${data}.log`;
  const addresses = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const origin = ['--origin', `${ORIGIN}=${stage.origin.url}`, '--default-origin', ORIGIN];
  let host: Host | undefined;
  const agent = await start({
    command: AGENT_COMMAND,
    args: ['agent', ...addresses, ...origin, '--data', data, ...more, '--log-format', 'json'],
    log,
    readyWaitMs: READY_WAIT_MS,
    ready: async () => {
      const [, url, admin] = /ready on (http:\S+), admin on (http:[^\s,]+)/.exec(await readFile(log, 'utf8')) ?? [];
      if (url !== undefined && admin !== undefined) host = { name, url, admin };
      return signal.aborted || host !== undefined;
    },
  });
  return {
    agent,
    host: () => {
      signal.throwIfAborted();
      if (!host) throw new Error(`host ${name} did not say where it listens`);
      return host;
    },
  };
}

/** Pulls the image through a host as a runtime does: the tag, its manifest, then its blobs at once. Every digest is checked. */
export async function pull({ name, url }: Host, { image }: Stage, signal: AbortSignal): Promise<void> {
  const base = `${url}/v2/${ORIGIN}/${REPOSITORY}`;
  const { manifest, config, layers } = image;
  const get = async (path: string, digest: string) => {
    const answer = await fetch(`${base}/${path}`, { headers: { accept: manifest.mediaType }, signal });
    if (!answer.ok || !answer.body) throw new Error(`host ${name} answered ${answer.status} for ${path}`);
    const hash = createHash('sha256');
    for await (const chunk of answer.body) hash.update(chunk);
    if (`sha256:${hash.digest('hex')}` !== digest) throw new Error(`host ${name} gave other bytes than ${digest}`);
  };
  await get(`manifests/${TAG}`, manifest.digest);
  await get(`manifests/${manifest.digest}`, manifest.digest);
  await all([config, ...layers].map(({ digest }) => get(`blobs/${digest}`, digest)));
}

/** Keeps what is told of a host up to date, until the signal aborts. */
export async function watch(row: Progress, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A look that fails costs a picture; whether the pull goes well is told elsewhere.
    await Promise.allSettled([look(row, signal)]);
    await Promise.allSettled([wait(LOOK_EVERY_MS, undefined, { signal })]);
  }
}

/** Looks once at where a host's bytes came from. */
export async function look(row: Progress, signal: AbortSignal): Promise<void> {
  const { pulls } = await ask<Pulls>(row.host, 'pulls', signal);
  row.fromOrigin = pulls.reduce((sum, { bytesFrom }) => sum + bytesFrom.origin, 0);
  row.fromHosts = pulls.reduce((sum, { bytesFrom }) => sum + bytesFrom.peer, 0);
}

/** Who gave whom how much, as each host explains its pull. */
export async function giftsAmong(hosts: readonly Host[], signal: AbortSignal): Promise<Gifts> {
  const statuses = await all(hosts.map((host) => ask<Status>(host, 'status', signal)));
  const nameOf = new Map(statuses.map(({ identity }, at) => [identity, hosts[at]?.name ?? '']));
  const gifts: Record<string, Record<string, number>> = { origin: {} };
  for (const { name } of hosts) gifts[name] = {};
  for (const host of hosts) {
    const add = (giver: string, bytes: number) => {
      const given = gifts[giver] ?? {};
      gifts[giver] = { ...given, [host.name]: (given[host.name] ?? 0) + bytes };
    };
    const { blobs } = await ask<Explanation>(host, `explain/${ORIGIN}/${REPOSITORY}:${TAG}`, signal);
    for (const { fromOrigin, fromMembers } of blobs.flatMap(({ stories }) => stories)) {
      add('origin', fromOrigin.bytes);
      for (const { member, bytes } of fromMembers) add(nameOf.get(member) ?? 'others', bytes);
    }
  }
  return gifts;
}

/** Of what the admin API answers, what is shown. */
interface Status {
  readonly identity: string | null;
  readonly members: number;
}
interface Pulls {
  readonly pulls: readonly { readonly bytesFrom: { readonly peer: number; readonly origin: number } }[];
}
interface Explanation {
  readonly blobs: readonly { readonly stories: readonly Story[] }[];
}
interface Story {
  readonly fromOrigin: { readonly bytes: number };
  readonly fromMembers: readonly { readonly member: string; readonly bytes: number }[];
}

async function ask<T>({ name, admin }: Host, path: string, signal: AbortSignal): Promise<T> {
  const answer = await fetch(`${admin}/api/${path}`, { signal });
  if (!answer.ok) throw new Error(`host ${name} answered ${answer.status} for /api/${path}`);
  return (await answer.json()) as T;
}

/** Waits for all of them even when one fails, so that none is left behind. */
export async function all<T>(promises: readonly Promise<T>[]): Promise<readonly T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
