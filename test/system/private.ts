import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Agent } from '../lab/agent.ts';
import { AGENT_HOST } from '../lab/agent.ts';
import type { Client } from '../lab/client.ts';
import { startContainerd } from '../lab/containerd.ts';
import { startDocker } from '../lab/docker.ts';
import type { HostImage } from '../lab/host-origin.ts';
import { type Host, type Hosts, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { TEST_ADDRESS } from '../lab/network.ts';
import { podmanOn, skopeoCopy } from '../lab/podman.ts';
import { PASSWORD_PORT, type PrivateOrigin, startPrivateOrigin, TOKEN_PORT } from '../lab/private-origin.ts';
import { commandAt, must, run } from '../lab/process.ts';
import type { User } from '../lab/token-server.ts';
import type { Scenario } from './scenario.ts';

export const PRIVATE_NEEDS: readonly string[] = ['docker-registry', 'openssl', 'ip', 'htpasswd', 'curl'];
export const NO_AUTHORITIES = '/dev/null';
export const IMAGE_BYTES: number = 6 * MIB;
export const LOCAL = 'localhost:5050';
export const ALICE: User = { name: 'alice', password: 'wonder-land', reads: () => true, pushes: () => true };
export const BOB: User = { name: 'bob', password: 'the-builder', reads: (repository) => repository === 'library/open' };
/** The names that agents know the private registries by. */
export const BY_TOKEN = 'registry.example.com';
export const BY_PASSWORD = 'locked.example.com';

interface PrivateLab extends AsyncDisposable {
  readonly lab: Hosts;
  readonly origin: PrivateOrigin;
  readonly image: HostImage;
  readonly one: Host;
  readonly two: Host;
}

/** Two hosts of one swarm before private registries, none of which can be reached past the agents. */
export async function startPrivateLab(folder: string): Promise<PrivateLab> {
  await using parts = new AsyncDisposableStack();
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'drayage.yaml');
  const origins = {
    'docker.io': { access: 'proof' },
    [BY_TOKEN]: { access: 'proof', push: true },
    [BY_PASSWORD]: { url: `http://${TEST_ADDRESS}:${PASSWORD_PORT}`, access: 'proof', push: true },
  };
  writeFileSync(file, JSON.stringify({ origins }));
  const byToken = ['docker.io', BY_TOKEN].flatMap((name) => [
    '--origin',
    `${name}=http://${TEST_ADDRESS}:${TOKEN_PORT}`,
  ]);
  const lab = parts.use(await startHosts({ folder, hosts: 2, more: ['--config', file, ...byToken] }));
  const [one, two] = lab.hosts;
  assert.ok(one && two);
  const root = join(lab.folder, 'origin', 'registry');
  const users = [ALICE, BOB];
  const own = join(folder, 'private');
  const origin = parts.use(await startPrivateOrigin({ folder: own, root, address: TEST_ADDRESS, users }));
  const image = await lab.origin.push('private', IMAGE_BYTES);
  const all = parts.move();
  return { lab, origin, image, one, two, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Images that only their own credential opens, pulled by real runtimes from registries that mean it. */
export const privateScenarios: readonly Scenario[] = [
  {
    name: 'A1',
    title: "dockerd's mirror and ctr: who may pull does, from the other host as well; others are refused (and A2)",
    boundSeconds: 180,
    needs: [...PRIVATE_NEEDS, 'dockerd', 'docker', 'containerd', 'ctr'],
    run: async ({ folder }) => {
      await using stage = await startPrivateLab(folder);
      const { one, two, image, lab } = stage;
      await using containerd = await startContainerd(join(one.folder, 'containerd'), NO_AUTHORITIES, one.port.inside);
      await refused(containerd.ctr, image);
      await refused(containerd.as('bob:the-builder').ctr, image);
      await pulls(containerd.as('alice:wonder-land').ctr, image);
      assert.ok((await fetched(one.agent, 'origin')) >= image.bytes);

      await using docker = await startDocker(join(two.folder, 'docker'), NO_AUTHORITIES, two.port.inside);
      await refused(docker, image);
      logIntoHub(two, BOB);
      await refused(docker, image);
      logIntoHub(two, ALICE);
      await pulls(docker, image);
      await fromPeer(two.agent, image);
      await docker.wipe();
      logIntoHub(two, BOB);
      await refused(docker, image);

      const open = await lab.origin.push('open', MIB);
      await pulls(containerd.as('bob:the-builder').ctr, open);
      const [layer = ''] = image.layers;
      const token = await tokenOf(one, stage.origin.tokens.realm, 'library/open');
      for (const [repository, shown, expected] of [
        ['library/open', token, /^404$/],
        ['library/private', token, /^403$/],
        ['library/private', undefined, /^401$/],
        ['library/private', 'garbage', /^401$/],
      ] as const) {
        assert.match(await statusOf(one, `/v2/${repository}/blobs/${layer}?ns=docker.io`, shown), expected);
      }
    },
  },
  {
    name: 'A3',
    title:
      "the kubelet's pull secrets: the origin gets the password, a token that ends in the middle costs one try, others are refused",
    boundSeconds: 180,
    needs: [...PRIVATE_NEEDS, 'containerd', 'ctr'],
    run: async ({ folder }) => {
      await using stage = await startPrivateLab(folder);
      const { one, two, image, origin } = stage;
      await using first = await startContainerd(join(one.folder, 'containerd'), NO_AUTHORITIES, one.port.inside);
      await using second = await startContainerd(join(two.folder, 'containerd'), NO_AUTHORITIES, two.port.inside);
      await refused(first.as('bob:the-builder').cri, image);
      const challenge = `Bearer realm="${origin.tokens.realm}",service="lab-registry",error="invalid_token"`;
      const over = { status: 401, headers: { 'www-authenticate': challenge }, times: 1 };
      using _fault = origin.front.fault({ path: /\/manifests\/sha256/, method: 'GET', ...over });
      // containerd shows a token that is over once more, then goes to the next registry; the kubelet's next try gets a new one.
      await refused(first.as('alice:wonder-land').cri, image);
      await pulls(first.as('alice:wonder-land').cri, image);
      const asked = origin.tokens.asked.filter(({ user }) => user === 'alice');
      assert.ok(asked.length >= 2, 'a token that is over is asked for again');
      await pulls(second.as('alice:wonder-land').cri, image);
      await fromPeer(two.agent, image);
      await refused(second.as('bob:the-builder').cri, image, { wipe: true });
      await refused(second.cri, image);
      // An origin that wants passwords gets them through the agent, for it asks nobody for Basic itself.
      for (const client of [first, second]) client.mirrors({ _default: {} });
      await refused(first.as('bob:wrong').cri, image, { at: BY_PASSWORD });
      await pulls(second.as('alice:wonder-land').cri, image, BY_PASSWORD);
    },
  },
  {
    name: 'A4',
    title: 'podman, skopeo and dockerd by path, to a token and to a password registry: each by its own login',
    boundSeconds: 240,
    needs: [...PRIVATE_NEEDS, 'podman', 'skopeo', 'dockerd', 'docker'],
    run: async ({ folder }) => {
      await using stage = await startPrivateLab(folder);
      const { one, two, image, origin } = stage;
      const podman = podmanOn(one.port.inside, join(one.folder, 'podman'), NO_AUTHORITIES, [BY_TOKEN, BY_PASSWORD]);
      await using docker = await startDocker(join(two.folder, 'docker'), NO_AUTHORITIES, two.port.inside);
      for (const name of [BY_TOKEN, BY_PASSWORD]) {
        await refused(podman, image, { at: name });
        await podman.login(`${AGENT_HOST}/${name}`, BOB);
        if (name === BY_TOKEN) await refused(podman, image, { at: name });
        await podman.login(`${AGENT_HOST}/${name}`, ALICE);
        await pulls(podman, image, name);
        await podman.wipe();

        const reference = `${LOCAL}/${name}/${image.repository}:${image.tag}`;
        assert.notEqual((await docker.docker(['pull', '-q', reference])).code, 0);
        const login = ['login', '-u', ALICE.name, '-p', ALICE.password, LOCAL];
        await onHost(two, docker.commandLine(login));
        await docker.mustDocker(['pull', '-q', reference]);
        assert.equal(await docker.configDigest(reference), image.config);
        await docker.wipe();
        await onHost(two, docker.commandLine(['logout', LOCAL]));
        await skopeoCopy(two.port.inside, join(two.folder, 'skopeo'), {
          from: `${AGENT_HOST}/${name}/${image.repository}:${image.tag}`,
          credential: `${ALICE.name}:${ALICE.password}`,
        });
      }
      await fromPeer(two.agent, image);
      const scopes = new Set(origin.tokens.asked.flatMap((question) => question.scopes));
      assert.deepEqual([...scopes], [`repository:${image.repository}:pull`], 'the origin is asked without the prefix');
    },
  },
  {
    name: 'A5',
    title:
      'with the origin and its token service gone, who was let in before pulls again, and nobody else; public stays open',
    boundSeconds: 180,
    needs: [...PRIVATE_NEEDS, 'podman'],
    run: async ({ folder }) => {
      await using stage = await startPrivateLab(folder);
      const { one, image, origin, lab } = stage;
      const names = [BY_TOKEN, BY_PASSWORD, 'plain.example.com:5080'];
      const podman = podmanOn(one.port.inside, join(one.folder, 'podman'), NO_AUTHORITIES, names);
      const open = await lab.origin.push('public', MIB);
      await pulls(podman, open, 'plain.example.com:5080');
      for (const name of [BY_TOKEN, BY_PASSWORD]) {
        await podman.login(`${AGENT_HOST}/${name}`, ALICE);
        await pulls(podman, image, name);
        await podman.wipe();
      }
      await origin.stop();
      await lab.origin.stop();
      for (const name of [BY_TOKEN, BY_PASSWORD]) {
        await pulls(podman, image, name);
        await podman.wipe();
        podman.forget(`${AGENT_HOST}/${name}`);
        await refused(podman, image, { at: name });
      }
      await pulls(podman, open, 'plain.example.com:5080');
    },
  },
];

const referenceOf = ({ repository, tag }: HostImage, name: string) => `${name}/${repository}:${tag}`;

async function pulls(client: Client, image: HostImage, name = 'docker.io'): Promise<void> {
  const reference = referenceOf(image, name);
  await client.pull(reference);
  assert.equal(await client.configDigest(reference), image.config, `${client.name} holds the image`);
}

async function refused(
  client: Client,
  image: HostImage,
  { at = 'docker.io', wipe = false }: { readonly at?: string; readonly wipe?: boolean } = {},
): Promise<void> {
  if (wipe) await client.wipe();
  await assert.rejects(client.pull(referenceOf(image, at)), `${client.name} is refused`);
}

/** The bytes that an agent took from there so far. */
export async function fetched(agent: Agent, from: 'peer' | 'origin'): Promise<number> {
  return agent.metric('drayage_fetched_bytes_total', { from }).catch(() => 0);
}

async function fromPeer(agent: Agent, image: HostImage): Promise<void> {
  const [peer, origin] = [await fetched(agent, 'peer'), await fetched(agent, 'origin')];
  assert.ok(peer >= image.bytes * 0.9 && origin < image.bytes / 10, `${peer} bytes of peers, ${origin} of the origin`);
}

/** As `docker login` leaves it: Docker Hub itself cannot be reached from here. */
function logIntoHub(host: Host, { name, password }: { readonly name: string; readonly password: string }): void {
  const folder = join(host.folder, 'docker', 'cli');
  mkdirSync(folder, { recursive: true });
  const auth = Buffer.from(`${name}:${password}`).toString('base64');
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth } } }));
}

export async function onHost(
  host: Host,
  { command, args, env }: ReturnType<Awaited<ReturnType<typeof startDocker>>['commandLine']>,
): Promise<void> {
  const call = commandAt(host.port.inside, command, args);
  await must(call.command, call.args, { env });
}

async function tokenOf(host: Host, realm: string, repository: string): Promise<string> {
  const call = commandAt(host.port.inside, 'curl', [
    '-sfu',
    'bob:the-builder',
    `${realm}?scope=repository:${repository}:pull`,
  ]);
  return JSON.parse(await must(call.command, call.args)).token;
}

async function statusOf(host: Host, path: string, token: string | undefined): Promise<string> {
  const shown = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
  const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...shown, `http://${AGENT_HOST}${path}`];
  const call = commandAt(host.port.inside, 'curl', args);
  return (await run(call.command, call.args)).stdout;
}
