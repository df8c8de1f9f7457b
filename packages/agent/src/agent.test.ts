import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@drayage/core';
import pino from 'pino';
import { expect, test } from 'vitest';
import { type Agent, startAgent } from './agent.ts';
import { readConfig } from './config.ts';
import { makeSwarmKey, saveSwarmKey } from './swarm-keys.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** A registry with one public image of three layers, which can stop or fall silent. */
async function startOrigin() {
  const held = new Map<string, { type: string; bytes: Buffer }>();
  const add = (type: string, bytes: Buffer) => {
    held.set(sha256(bytes), { type, bytes });
    return { mediaType: type, digest: sha256(bytes), size: bytes.length };
  };
  const config = add(CONFIG, Buffer.from('{"architecture":"amd64"}'));
  const layers = [100, 700_000, 3_000_000].map((size) => add(LAYER, randomBytes(size)));
  const manifest = add(IMAGE, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config, layers })));
  held.set('1', held.get(manifest.digest) ?? { type: IMAGE, bytes: Buffer.alloc(0) });

  let isSilent = false;
  const asked: string[] = [];
  const answer = (response: ServerResponse, name: string) => {
    const found = held.get(name);
    response.writeHead(found ? 200 : 404, {
      'content-length': found?.bytes.length ?? 0,
      'content-type': found?.type ?? 'text/plain',
      ...(found && { 'docker-content-digest': sha256(found.bytes) }),
    });
    response.end(found?.bytes);
  };
  const server = createServer(({ method, url = '' }, response) => {
    asked.push(`${method} ${url}`);
    if (!isSilent) answer(response, url.split('/').at(-1) ?? '');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return {
    held,
    asked,
    config,
    layers,
    manifest,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop,
    silence: async () => {
      isSilent = true;
    },
    [Symbol.asyncDispose]: stop,
  };
}

type Origin = Awaited<ReturnType<typeof startOrigin>>;

/** Agents with one key, each on free ports; the others meet the first. */
async function startAgents(count: number, { url }: Origin) {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'drayage-agents-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const keyFile = join(folder, 'key');
  await saveSwarmKey(makeSwarmKey().key, keyFile);
  const log = pino({ level: 'silent' });
  const agents: Agent[] = [];
  let first: string | undefined;
  for (let at = 0; at < count; at++) {
    const values = new Map<string, readonly string[]>([
      ['listen', ['127.0.0.1:0']],
      ['admin', ['127.0.0.1:0']],
      ['data', [join(folder, `${at}`)]],
      ['swarm-listen', ['127.0.0.1:0']],
      ['link-listen', ['127.0.0.1:0']],
      ['swarm-key-file', [keyFile]],
      ['origin', [`lab.example=${url}`]],
      ['default-origin', ['lab.example']],
      ...(first === undefined ? [] : [['join', [first]] as const]),
    ]);
    const defaults = { home: folder, dataHome: undefined, isRoot: false };
    const config = await readConfig({ arguments: { values, positionals: [], faults: [] }, env: {}, defaults });
    const agent = stack.use(await startAgent(config, { log, home: folder, version: '0' }));
    first ??= (await status(agent)).addresses.swarm[0];
    agents.push(agent);
  }
  for (const agent of agents)
    await expect.poll(async () => (await status(agent)).members, { timeout: 10_000 }).toBe(count - 1);
  const owned = stack.move();
  return { agents, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function status({ admin }: Agent): Promise<{ members: number; addresses: { swarm: readonly string[] } }> {
  if (!('port' in admin)) throw new Error('no admin port');
  return (await fetch(`http://127.0.0.1:${admin.port}/api/status`)).json() as never; // what is looked at in it says each test
}

async function get({ endpoint }: Agent, what: string, method = 'GET') {
  const answer = await fetch(`http://${endpoint[0]}/v2/library/app/${what}`, { method });
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, source: answer.headers.get('drayage-source'), bytes };
}

async function pull(agent: Agent, reference: string, { config, layers }: Origin): Promise<readonly Buffer[]> {
  const head = await get(agent, `manifests/${reference}`, 'HEAD');
  const answers = [await get(agent, `manifests/${reference}`)];
  for (const { digest } of [config, ...layers]) answers.push(await get(agent, `blobs/${digest}`));
  expect([head, ...answers].map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200, 200]);
  return answers.map(({ bytes }) => bytes);
}

test.each([
  ['is stopped', 'stop', 2_000],
  ['swallows every question', 'silence', 7_000],
] as const)(
  'when the origin %s, a host that never asked it pulls by digest what another holds',
  async (_, end, mostMs) => {
    await using origin = await startOrigin();
    await using lab = await startAgents(2, origin);
    const [one, two] = lab.agents;
    if (!one || !two) throw new Error('too few');
    await pull(one, '1', origin);
    await origin[end]();
    const { digest } = origin.manifest;
    const startedAt = performance.now();
    // Until the announcement has arrived nobody is known to hold it.
    await expect.poll(async () => (await get(two, `manifests/${digest}`, 'HEAD')).status, { timeout: 9_000 }).toBe(200);
    const bytes = await pull(two, digest, origin);
    expect(performance.now() - startedAt).toBeLessThan(mostMs);
    const expected = [digest, origin.config.digest, ...origin.layers.map((layer) => layer.digest)];
    expect(bytes.map((one) => sha256(one))).toEqual(expected);
    expect((await get(two, 'manifests/1')).status).toBe(404);
  },
  40_000,
);

test('with the origin there, a second host asks it for nothing but whether it may, and what a tag means', async () => {
  await using origin = await startOrigin();
  await using lab = await startAgents(2, origin);
  const [one, two] = lab.agents;
  if (!one || !two) throw new Error('too few');
  await pull(one, '1', origin);
  origin.asked.length = 0;
  expect((await get(two, 'manifests/1')).source).toBe('peer');
  for (const { digest } of [origin.config, ...origin.layers]) {
    expect((await get(two, `blobs/${digest}`)).status).toBe(200);
  }
  expect(origin.asked.filter((asked) => !asked.startsWith('HEAD '))).toEqual([]);
}, 40_000);
