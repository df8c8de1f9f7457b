import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Agent, startAgent } from '../lab/agent.ts';
import { memberSecrets } from './doors-members.ts';
import { type Door, openDoors, startCanary } from './doors-origin.ts';
import type { Figures, Proof } from './proof.ts';
import { seeded } from './proof.ts';

const SEED = 20_261_126;
const ROUNDS = 100;
const DIGEST = `sha256:${'a'.repeat(64)}`;
/** Every secret has this in it, and nothing else has. */
const MARK = 'c4n4ry';
const WHATS = ['manifests/1', `manifests/${DIGEST}`, `blobs/${DIGEST}`, 'tags/list', `referrers/${DIGEST}`];
const ADMIN_PATHS = [
  '/metrics',
  '/api/status',
  '/api/members',
  '/api/blobs',
  '/api/images',
  '/api/pulls',
  '/readyz?verbose',
];

/** No credential that a client shows ends up anywhere but at its origin. */
export const doors: Proof = {
  name: 'doors',
  title: 'fourteen ways for an origin to lure a credential away, and every place where one could be left lying about',
  needs: ['docker-registry', 'openssl', 'ip', 'htpasswd', 'curl'],
  run: async (folder, short) => {
    const rounds = short ? ROUNDS / 10 : ROUNDS;
    const lured = await lure(join(folder, 'lure'), rounds);
    const members = await memberSecrets(join(folder, 'members'));
    return { ...lured, ...members };
  },
};

async function lure(folder: string, rounds: number): Promise<Figures> {
  mkdirSync(folder, { recursive: true });
  await using canary = await startCanary();
  await using open = await openDoors(canary.host);
  const origins = Object.fromEntries(
    open.doors.map(({ name, url }) => [`${name}.test`, { url, access: 'proof', tags: [{ pattern: '*', ttl: '0s' }] }]),
  );
  const file = join(folder, 'drayage.yaml');
  writeFileSync(file, JSON.stringify({ origins }));
  const proxy = `http://${canary.host}`;
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'];
  await using agent = await startAgent({
    folder: join(folder, 'agent'),
    originUrl: 'http://127.0.0.1:1',
    env: Object.fromEntries([...names.map((name) => [name, proxy]), ['NODE_USE_ENV_PROXY', '1']]),
    more: ['--config', file],
  });
  const told: string[] = [];
  const random = seeded(SEED);
  const sequence = Array.from({ length: rounds * open.doors.length }, (_, at) => ({
    door: open.doors[Math.floor(random() * open.doors.length)] ?? open.doors[0],
    at,
  }));
  for (const { door, at } of sequence) if (door) told.push(...(await knock(agent, door, at)));
  const places = {
    'at the canary': canary.heard.filter((text) => text.includes(MARK) || /authorization/i.test(text)),
    'in answers': told.filter((text) => text.includes(MARK)),
    // A manifest is passed on as it is, whatever addresses it names: what counts is where a client is sent.
    'in the headers of an answer': told.filter((text) => text.split('\n\n', 1)[0]?.includes(canary.host)),
    ...(await leftLying(agent, folder)),
  };
  for (const [place, found] of Object.entries(places)) {
    assert.equal(found.length, 0, `a credential was found ${place}: ${found[0]?.slice(0, 400)}`);
  }
  return {
    doors: open.doors.length,
    knocks: sequence.length,
    canaryRequests: canary.heard.length,
    luredSecrets: 0,
    seed: SEED,
  };
}

/** Tries a door with secrets of every kind, as all clients together would. What was answered. */
async function knock({ url }: Agent, { name }: Door, at: number): Promise<readonly string[]> {
  const told: string[] = [];
  const ask = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`${url}${path}`, init);
    const text = await answer.text();
    told.push(`${answer.status} ${[...answer.headers].join('\n')}\n\n${text}`);
    return { status: answer.status, text };
  };
  const basic = `Basic ${btoa(`${MARK}-user-${at}:${MARK}-password-${at}`)}`;
  const what = WHATS[at % WHATS.length] ?? '';
  const form = new URLSearchParams({
    grant_type: 'password',
    username: `${MARK}-user-${at}`,
    password: `${MARK}-password-${at}`,
    service: `${name}.test`,
    scope: 'repository:team/app:pull',
  });
  await ask(`/v2/team/app/${what}?ns=${name}.test`);
  await ask('/token', { method: 'POST', body: form });
  const scope = `repository:${name}.test/team/app:pull`;
  const given = await ask(`/token?service=drayage&scope=${scope}`, { headers: { authorization: basic } });
  const { token } = given.status === 200 ? JSON.parse(given.text) : { token: undefined };
  for (const authorization of [basic, `Bearer ${MARK}-token-${at}`, ...(token ? [`Bearer ${token}`] : [])]) {
    await ask(`/v2/${name}.test/team/app/${what}`, { headers: { authorization } });
    await ask(`/v2/team/app/${what}?ns=${name}.test`, { headers: { authorization } });
  }
  return told;
}

/** Wherever an agent writes, or others may look. */
async function leftLying(agent: Agent, folder: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const admin = await Promise.all(ADMIN_PATHS.map(async (path) => (await fetch(`${agent.admin}${path}`)).text()));
  const encoded = Buffer.from(`${MARK}-user-`).toString('base64').slice(0, 12);
  const isLeak = (text: string) => text.includes(MARK) || text.includes(encoded);
  const table = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${agent.pid()}/${name}`, 'latin1'));
  return {
    'in the log': readFileSync(agent.log, 'utf8').split('\n').filter(isLeak),
    'in metrics and the admin API': admin.filter(isLeak),
    'in the process table': table.filter(isLeak),
    'on the disk': filesBelow(join(folder, 'agent')).filter((path) => isLeak(readFileSync(path, 'latin1'))),
  };
}

function filesBelow(folder: string): readonly string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return paths.filter((path) => statSync(path).isFile());
}
