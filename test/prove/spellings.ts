import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { must } from '../lab/process.ts';
import { startStaticOrigin } from '../lab/static-origin.ts';
import { type Figures, type Proof, seeded } from './proof.ts';

const SEED = 20_261_127;
const SPELLINGS = 5000;
const AT_ONCE = 16;
const ANSWER_WAIT_MS = 15_000;
const DIGEST = `sha256:${'0'.repeat(64)}`;
const KNOWN = ['docker.io', 'ghcr.io', 'quay.io', 'registry.k8s.io', 'gcr.io', 'mcr.microsoft.com', 'public.ecr.aws'];
/** Where nobody must be sent: this host, its network, its cloud, and the rest of the world. */
const TARGETS = [
  ...['169.254.169.254', '0xa9fea9fe', '2852039166', '0251.0376.0251.0376', '169.254.43518', '[::ffff:a9fe:a9fe]'],
  ...[
    '[fd00:ec2::254]',
    'metadata.google.internal',
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '0.0.0.0',
  ],
  ...[
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    'localhost',
    'localhost.',
    'LOCALHOST',
    'localhost.localdomain',
    '10.99.1.7',
  ],
  ...[
    '192.168.0.1',
    'evil.test',
    'evil.test.',
    'xn--evil-.test',
    'ｅvil.test',
    'docker.io.evil.test',
    'registry-1.docker.io',
  ],
  ...[
    'auth.docker.io',
    'docker.io.',
    'dócker.io',
    'docker。io',
    'ghcr.io.',
    'index.docker.io',
    'example.com',
    '8.8.8.8',
    '100.100.100.200',
  ],
];
const PORTS = ['', '', ':80', ':443', ':22', ':2375', ':6443', ':5051', ':0', ':99999', ':', ':08080', ':5000:5000'];
const WRAPPINGS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toUpperCase(),
  (name) => `docker.io@${name}`,
  (name) => `user:password@${name}`,
  (name) => `http://${name}`,
  (name) => `${name}#docker.io`,
  (name) => `${name}?docker.io`,
  (name) => `${name}/docker.io`,
  (name) => `docker.io/../${name}`,
  (name) => `docker.io\\@${name}`,
  (name) => ` ${name}`,
  (name) => `${name}\t`,
  (name) => `docker.io,${name}`,
  (name) => `docker.io ${name}`,
  (name) => `${name}%00.docker.io`,
  (name) => `docker.io%2f@${name}`,
  (name) => `%64ocker.io%40${name}`,
  (name) => name.replaceAll('.', '%2e'),
  (name) => name.replaceAll('.', '。'),
  (name) => name.replace(/:(\d+)$/, '_$1'),
  (name) => `${name}:docker.io`,
  (name) => `[${name}]`,
];

/** However an address is spelled, and wherever in a request: nobody off the list of origins is connected to. */
export const spellings: Proof = {
  name: 'spellings',
  title: 'hostile spellings of ns, path, Host and scope, with every connection attempt of the agent counted',
  needs: ['iptables', 'ip'],
  run: async (folder, short) => {
    const count = short ? SPELLINGS / 5 : SPELLINGS;
    await using origin = await startStaticOrigin();
    await using wall = await buildWall(origin.url);
    const origins = KNOWN.flatMap((name) => ['--origin', `${name}=${origin.url}`]);
    await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url, more: origins });
    // What it does by itself at its start is not asked here.
    const before = await wall.escapes();
    const random = seeded(SEED);
    const requests = Array.from({ length: count }, () => requestOf(random));
    const statuses = await sendAll(requests);
    const escapes = (await wall.escapes()) - before;
    const serverErrors = statuses.filter((status) => status >= 500).length;
    const figures: Figures = {
      spellings: count,
      connectionsOffTheList: escapes,
      answered: statuses.filter((status) => status > 0).length,
      given: statuses.filter((status) => status === 200).length,
      serverErrors,
      seed: SEED,
    };
    assert.equal(escapes + serverErrors, 0, JSON.stringify(figures));
    assert.equal((await fetch(`${agent.admin}/livez`)).status, 200);
    // A wall that sees nothing proves nothing.
    connect({ host: '10.99.1.7', port: 80 }).on('error', () => {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok((await wall.escapes()) > before, 'the wall sees a connection that leaves the list');
    return figures;
  },
};

function requestOf(random: () => number): Buffer {
  const one = <T>(list: readonly T[]): T => {
    const item = list[Math.floor(random() * list.length)];
    if (item === undefined) throw new Error('an empty list');
    return item;
  };
  const spelled = one(WRAPPINGS)(one(TARGETS) + one(PORTS));
  const encoded = random() < 0.5 ? encodeURIComponent(spelled) : spelled;
  const what = one([`manifests/1`, `manifests/${DIGEST}`, `blobs/${DIGEST}`, 'tags/list', `referrers/${DIGEST}`]);
  const host = '127.0.0.1:5050';
  const [target, headers] = one<() => readonly [string, readonly string[]]>([
    () => [`/v2/team/app/${what}?ns=${encoded}`, [`Host: ${host}`]],
    () => [`/v2/team/app/${what}?ns=docker.io&ns=${encoded}`, [`Host: ${host}`]],
    () => [`/v2/${spelled}/team/app/${what}`, [`Host: ${host}`]],
    () => [`/v2/${spelled}/team/app/${what}?ns=${encoded}`, [`Host: ${host}`]],
    () => [`/v2/docker.io/${spelled}/app/${what}`, [`Host: ${host}`]],
    () => [`/v2/team/app/${what}`, [`Host: ${spelled}`]],
    () => [`/v2/team/app/${what}`, [`Host: ${host}`, `Host: ${spelled}`]],
    () => [`http://${spelled}/v2/team/app/${what}`, [`Host: ${host}`]],
    () => [`//${spelled}/v2/team/app/${what}`, [`Host: ${host}`]],
    () => [`/v2/team/app/${what}`, [`Host: ${host}`, `X-Forwarded-Host: ${spelled}`, `Forwarded: host=${spelled}`]],
    () => [`/token?service=${encoded}&scope=repository:${encoded}/team/app:pull`, [`Host: ${host}`]],
    () => [`/token?scope=repository:team/app:pull&service=docker.io`, [`Host: ${spelled}`]],
    () => ['/v2/', [`Host: ${spelled}`]],
  ])();
  const lines = [`GET ${target} HTTP/1.1`, ...headers, 'Connection: close', '', ''];
  return Buffer.from(lines.join('\r\n'));
}

async function sendAll(requests: readonly Buffer[]): Promise<readonly number[]> {
  const left = [...requests];
  const statuses: number[] = [];
  const worker = async () => {
    for (let request = left.pop(); request; request = left.pop()) statuses.push(await send(request));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return statuses;
}

/** The status of the answer; 0 when there is none. */
function send(bytes: Buffer): Promise<number> {
  return new Promise((resolve) => {
    let head = '';
    const socket = connect({ host: '127.0.0.1', port: 5050 });
    socket.setTimeout(ANSWER_WAIT_MS, () => socket.destroy());
    socket.on('data', (chunk) => {
      if (head.length < 20) head += chunk.toString('latin1', 0, 20);
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0)));
    socket.write(bytes);
  });
}

interface Wall extends AsyncDisposable {
  /** Packets so far that began to go anywhere but to the origin or to the agent's own ports. */
  escapes(): Promise<number>;
}

/** Gives the namespace a way out that leads nowhere, and counts who takes it. */
async function buildWall(originUrl: string): Promise<Wall> {
  const chain = 'drayage-wall';
  const tables = ['iptables', 'ip6tables'];
  await must('ip', ['link', 'add', 'out0', 'type', 'bridge']);
  await must('ip', ['address', 'add', '10.99.1.1/24', 'dev', 'out0']);
  await must('ip', ['link', 'set', 'out0', 'up']);
  await must('ip', ['route', 'add', 'default', 'dev', 'out0']);
  await must('ip', ['-6', 'route', 'add', 'default', 'dev', 'out0']);
  const free = [new URL(originUrl).port, '5050', '5051'];
  for (const table of tables) {
    await must(table, ['-N', chain]);
    for (const port of free) {
      await must(table, ['-A', chain, '-o', 'lo', '-p', 'tcp', '--dport', port, '-j', 'RETURN']);
    }
    await must(table, ['-A', chain, '-j', 'REJECT']);
    await must(table, ['-A', 'OUTPUT', '-p', 'tcp', '--syn', '-j', chain]);
    await must(table, ['-A', 'OUTPUT', '-p', 'udp', '-j', chain]);
  }
  return {
    escapes: async () => {
      const counts = await Promise.all(tables.map((table) => must(table, ['-nvxL', chain])));
      return counts.reduce((sum, text) => sum + Number(/^\s*(\d+)\s+\d+\s+REJECT/m.exec(text)?.[1] ?? 0), 0);
    },
    [Symbol.asyncDispose]: async () => {
      for (const table of tables) {
        await must(table, ['-F', 'OUTPUT']);
        await must(table, ['-F', chain]);
        await must(table, ['-X', chain]);
      }
      await must('ip', ['link', 'delete', 'out0']);
    },
  };
}
