import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_COMMAND, type Agent, startAgent } from '../lab/agent.ts';
import { expectImage } from '../lab/client.ts';
import { type Docker, startDocker } from '../lab/docker.ts';
import { blobBytes, HELLO, imageFor } from '../lab/images.ts';
import { AUTH_ADDRESS } from '../lab/namespace.ts';
import { AGENT_DOOR, EXAMPLE_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { must } from '../lab/process.ts';
import { startTokenServer, TOKEN_SERVICE } from '../lab/token-server.ts';
import { ALICE } from './private.ts';
import type { Scenario, Stage } from './scenario.ts';

const PROXY = '127.0.0.1:5054';
const CERTIFICATES = '/etc/docker/certs.d';
const REGISTRY = 'registry.example.com';
const PLAIN = 'plain.example.com:5080';
const needs = ['dockerd', 'docker', 'openssl'];

/** An agent with a proxy, and a dockerd that knows no mirror but only that. */
async function startBoth({ folder, origin, authority }: Stage, access = 'public') {
  await using started = new AsyncDisposableStack();
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'drayage.yaml');
  writeFileSync(config, JSON.stringify({ origins: { [REGISTRY]: { access, realms: ['auth.example.com'] } } }));
  const more = ['--proxy-listen', PROXY, '--config', config];
  const agent = started.use(await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url, more }));
  const env = await setUp(folder);
  started.defer(() => rmSync(CERTIFICATES, { recursive: true }));
  const settings = { 'insecure-registries': [PLAIN] };
  const docker = started.use(await startDocker(join(folder, 'docker'), authority.bundle, [], { settings, env }));
  const all = started.move();
  return { agent, docker, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What `drayage setup` has systemd and dockerd read, put where only this dockerd sees it. */
async function setUp(folder: string): Promise<Record<string, string>> {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'etc/docker'), { recursive: true });
  await must(AGENT_COMMAND, ['setup', 'docker', '--proxy', '--root', root]);
  cpSync(join(root, CERTIFICATES), CERTIFICATES, { recursive: true });
  const unit = readFileSync(join(root, 'etc/systemd/system/docker.service.d/drayage-proxy.conf'), 'utf8');
  return Object.fromEntries([...unit.matchAll(/^Environment="(\w+)=(.*)"$/gm)].map(([, name, value]) => [name, value]));
}

const outcome = (agent: Agent, name: string) => agent.metric('drayage_proxied_total', { outcome: name });

async function say(docker: Docker, reference: string): Promise<void> {
  assert.equal(await docker.run(reference), HELLO);
}

/** dockerd that is told of nothing but a proxy. */
export const proxyScenarios: readonly Scenario[] = [
  {
    name: 'H1',
    title: 'dockerd behind the proxy pulls by a private registry’s own name, cold and warm, builds and pushes',
    boundSeconds: 90,
    needs,
    run: async (stage) => {
      await using both = await startBoth(stage);
      const { agent, docker } = both;
      const { front } = stage.origin;
      const reference = `${REGISTRY}/team/small:1`;
      await docker.pull(reference);
      await expectImage(docker, reference, stage.images.small);
      assert.equal(front.bytes({ door: AGENT_DOOR }), blobBytes(imageFor(stage.images.small)));
      await docker.wipe();
      front.forget();
      await docker.pull(reference);
      await say(docker, reference);
      assert.equal(front.count({ path: /\/blobs\// }), 0, 'warm, no blob leaves the origin');

      await docker.mustDocker(['tag', reference, `${REGISTRY}/team/pushed:2`]);
      await docker.mustDocker(['push', '-q', `${REGISTRY}/team/pushed:2`]);
      assert.ok(front.count({ door: AGENT_DOOR, method: 'PUT', path: /\/team\/pushed\/manifests\/2$/ }) > 0);
      await docker.wipe();
      await docker.pull(`${REGISTRY}/team/pushed:2`);
      await say(docker, `${REGISTRY}/team/pushed:2`);

      const file = join(stage.folder, 'Dockerfile');
      writeFileSync(file, `FROM ${REGISTRY}/team/oci-index:1\nLABEL built=yes\n`);
      const build = ['build', '--network', 'host', '-t', 'built:1', '-f', file, stage.folder];
      await docker.mustDocker(build, { DOCKER_BUILDKIT: '1' });

      const plain = `${PLAIN}/team/list:1`;
      await docker.pull(plain);
      await expectImage(docker, plain, stage.images.list);
      assert.equal(front.count({ door: EXAMPLE_DOOR }), 0, 'nothing went past the agent');
      assert.ok((await outcome(agent, 'intercepted')) > 0);

      await docker.pull('docker.io/library/small:1');
      assert.ok(front.count({ door: HUB_DOOR }) > 0, 'Docker Hub is tunnelled');
    },
  },
  {
    name: 'H1-away',
    title: 'behind the proxy, what is held pulls while the origin is down; without the agent nothing does, and says so',
    boundSeconds: 90,
    needs,
    run: async (stage) => {
      await using both = await startBoth(stage);
      const { agent, docker } = both;
      const reference = `${REGISTRY}/team/small:1`;
      await docker.pull(reference);
      await docker.wipe();
      {
        await using _down = await stage.origin.front.close(AGENT_DOOR);
        await docker.pull(reference);
        await expectImage(docker, reference, stage.images.small);
        const missing = await docker.docker(['pull', `${REGISTRY}/team/big:1`]);
        assert.match(missing.stderr, /502|UNAVAILABLE|unavailable/i);
      }
      await docker.wipe();
      await agent.stop();
      const from = performance.now();
      const alone = await docker.docker(['pull', reference]);
      assert.match(alone.stderr, /proxyconnect.*connection refused/);
      assert.ok(performance.now() - from < 10_000, 'and at once');
    },
  },
  {
    name: 'H1-private',
    title: 'behind the proxy, a private image needs the user’s own sign-in, whose tokens come through a tunnel',
    boundSeconds: 90,
    needs,
    run: async (stage) => {
      mkdirSync(stage.folder, { recursive: true });
      const tls = stage.authority.certificate;
      await using tokens = await startTokenServer({ folder: stage.folder, address: AUTH_ADDRESS, users: [ALICE], tls });
      const { front } = stage.origin;
      using _private = front.fault({
        path: /^\/v2\//,
        unlessAuthorized: (authorization) =>
          tokens.asked.some(({ user, token }) => user === ALICE.name && authorization === `Bearer ${token}`),
        status: 401,
        headers: { 'www-authenticate': `Bearer realm="https://auth.example.com/token",service="${TOKEN_SERVICE}"` },
      });
      await using both = await startBoth(stage, 'proof');
      const { agent, docker } = both;
      const reference = `${REGISTRY}/team/small:1`;
      const refused = await docker.docker(['pull', reference]);
      assert.match(refused.stderr, /denied|unauthorized|authorization/i);
      await docker.mustDocker(['login', '-u', ALICE.name, '-p', ALICE.password, REGISTRY]);
      await docker.pull(reference);
      await expectImage(docker, reference, stage.images.small);
      assert.ok(front.count({ door: AGENT_DOOR, path: /\/blobs\// }) > 0);
      await docker.wipe();
      front.forget();
      await docker.pull(reference);
      assert.equal(front.count({ method: 'GET', path: /\/blobs\// }), 0, 'warm, no blob leaves the origin');
      await docker.mustDocker(['logout', REGISTRY]);
      await docker.wipe();
      assert.notEqual((await docker.docker(['pull', reference])).code, 0, 'nobody else gets what is held');
      await docker.mustDocker(['login', '-u', ALICE.name, '-p', ALICE.password, REGISTRY]);
      await docker.pull(reference);
      await docker.mustDocker(['tag', reference, `${REGISTRY}/team/mine:2`]);
      await docker.mustDocker(['push', '-q', `${REGISTRY}/team/mine:2`]);
      assert.ok(tokens.asked.some(({ scopes }) => scopes.some((scope) => /push/.test(scope))));
      assert.equal(front.count({ door: EXAMPLE_DOOR }), 0, 'nothing went past the agent');
      assert.ok((await outcome(agent, 'tunnelled')) > 0, 'tokens came through a tunnel');
    },
  },
];
