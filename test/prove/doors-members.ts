import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST } from '../lab/agent.ts';
import { type Host, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { TEST_ADDRESS } from '../lab/network.ts';
import { PASSWORD_PORT, startPrivateOrigin, TOKEN_PORT } from '../lab/private-origin.ts';
import { commandAt, must } from '../lab/process.ts';
import type { Figures } from './proof.ts';

const NAMES = ['registry.example.com', 'locked.example.com'];
/** Each host has a user whose password nobody else should ever hold. */
const USERS = ['h1', 'h2'].map((host) => ({
  name: `user-${host}`,
  password: `c4n4ry-${host}-password`,
  reads: () => true,
}));
const IMAGE_BYTES = 4 * MIB;
const READ_BYTES = 4 * MIB;

/** Two members give each other a private image: what one's client showed is not to be found at the other, in any form. */
export async function memberSecrets(folder: string): Promise<Figures> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'drayage.yaml');
  const locked = { url: `http://${TEST_ADDRESS}:${PASSWORD_PORT}`, access: 'proof' };
  writeFileSync(
    file,
    JSON.stringify({ origins: { 'registry.example.com': { access: 'proof' }, 'locked.example.com': locked } }),
  );
  const byToken = ['--origin', `registry.example.com=http://${TEST_ADDRESS}:${TOKEN_PORT}`];
  await using lab = await startHosts({
    folder,
    hosts: 2,
    more: ['--log-level', 'debug', '--config', file, ...byToken],
  });
  const root = join(lab.folder, 'origin', 'registry');
  await using _ = await startPrivateOrigin({
    folder: join(folder, 'private'),
    root,
    address: TEST_ADDRESS,
    users: USERS,
  });
  const image = await lab.origin.push('private', IMAGE_BYTES);
  const secrets = new Map<Host, readonly string[]>();
  for (const [at, host] of lab.hosts.entries()) {
    const user = USERS[at];
    assert.ok(user);
    const tokens: string[] = [];
    for (const name of NAMES) {
      const scope = `repository:${name}/${image.repository}:pull`;
      const given = await curl(host, ['-u', `${user.name}:${user.password}`, `/token?service=drayage&scope=${scope}`]);
      const { token } = JSON.parse(given);
      tokens.push(token);
      for (const what of [`manifests/${image.tag}`, ...image.layers.map((layer) => `blobs/${layer}`)]) {
        await curl(host, [
          '-o',
          '/dev/null',
          '-H',
          `Authorization: Bearer ${token}`,
          `/v2/${name}/${image.repository}/${what}`,
        ]);
      }
    }
    secrets.set(host, [user.password, Buffer.from(`${user.name}:${user.password}`).toString('base64'), ...tokens]);
  }
  const peerBytes = await lab.hosts[1]?.agent.metric('drayage_fetched_bytes_total', { from: 'peer' });
  assert.ok((peerBytes ?? 0) > IMAGE_BYTES / 2, 'the second host got the image from the first');
  const found: string[] = [];
  let searched = 0;
  for (const [owner, owned] of secrets) {
    // A search that finds nothing where something is would find nothing anywhere.
    const [token = ''] = owned.slice(-1);
    assert.ok(
      [...memoryOf(owner.agent.pid())].some((bytes) => bytes.includes(token)),
      'a token is found where it was shown',
    );
    for (const { name, agent } of lab.hosts.filter((host) => host !== owner)) {
      const places = [...memoryOf(agent.pid()), ...filesOf(agent.data), readFileSync(agent.log)];
      for (const bytes of places) {
        searched += bytes.length;
        if (owned.some((secret) => bytes.includes(secret))) found.push(`a secret of ${owner.name} at ${name}`);
      }
    }
    const own = owned.filter(
      (secret) =>
        readFileSync(owner.agent.log).includes(secret) ||
        filesOf(owner.agent.data).some((bytes) => bytes.includes(secret)),
    );
    found.push(...own.map(() => `a secret of ${owner.name} in its own log or on its disk`));
  }
  assert.deepEqual(found, []);
  return { peerBytes: peerBytes ?? 0, memberMiBSearched: Math.round(searched / MIB), memberSecrets: 0 };
}

async function curl(host: Host, args: readonly string[]): Promise<string> {
  const call = commandAt(host.port.inside, 'curl', [
    '-sSf',
    ...args.slice(0, -1),
    `http://${AGENT_HOST}${args.at(-1)}`,
  ]);
  return must(call.command, call.args);
}

/** All that a process can write to, as it stands in memory. */
function* memoryOf(pid: number): Generator<Buffer> {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) continue;
      yield readRegion(memory, Number.parseInt(from, 16), Number.parseInt(to, 16));
    }
  } finally {
    closeSync(memory);
  }
}

function readRegion(memory: number, from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = from; at < to; at += READ_BYTES) {
    const part = Buffer.alloc(Math.min(READ_BYTES, to - at));
    try {
      parts.push(part.subarray(0, readSync(memory, part, 0, part.length, at)));
    } catch {
      // A region that was given back meanwhile, or cannot be read at all, holds nothing for anybody.
      break;
    }
  }
  return Buffer.concat(parts);
}

function filesOf(folder: string): readonly Buffer[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return paths.filter((path) => statSync(path).isFile()).map((path) => readFileSync(path));
}
