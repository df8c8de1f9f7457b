import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST, startAgent } from '../lab/agent.ts';
import { expectImage } from '../lab/client.ts';
import { startContainerd } from '../lab/containerd.ts';
import { startDocker } from '../lab/docker.ts';
import { blobBytes, HELLO, imageFor, MIB } from '../lab/images.ts';
import { AGENT_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { podmanFamily } from '../lab/podman.ts';
import { until } from '../lab/process.ts';
import type { Scenario, Stage } from './scenario.ts';

const needs = ['dockerd', 'docker'];
/** How long a client may wait for the beginning of any answer. */
const FIRST_BYTE_MS_MAX = 10_000;
const LOCAL = AGENT_HOST.replace('127.0.0.1', 'localhost');

const agentOf = ({ folder, origin }: Stage) => startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
const dockerOf = ({ folder, authority }: Stage) => startDocker(join(folder, 'docker'), authority.bundle);

/** dockerd with the agent as its mirror, and as a registry on localhost. */
export const dockerScenarios: readonly Scenario[] = [
  {
    name: 'D1',
    title: 'dockerd pulls cold, then warm without a byte from the origin, and the container says hello',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      const { front } = stage.origin;
      await docker.pull('small:1');
      await expectImage(docker, 'small:1', stage.images.small);
      assert.equal(front.bytes({ door: AGENT_DOOR }), blobBytes(imageFor(stage.images.small)));
      await docker.wipe();
      front.forget();
      await docker.pull('small:1');
      assert.equal(front.count({ path: /\/blobs\// }), 0);
      assert.equal(await docker.run('small:1'), HELLO);
      assert.equal(front.count({ door: HUB_DOOR }), 0);
    },
  },
  {
    name: 'D2',
    title: 'dockerd pulls Docker lists and OCI indexes by tag, by digest and for another platform',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      for (const [name, artifact] of [
        ['list', stage.images.list],
        ['oci-index', stage.images.ociIndex],
      ] as const) {
        await docker.pull(`${name}:1`);
        await expectImage(docker, `${name}:1`, artifact);
        await docker.wipe();
        const byDigest = `${name}@${artifact.top.digest}`;
        await docker.pull(byDigest);
        await expectImage(docker, byDigest, artifact);
        await docker.wipe();
        await docker.mustDocker(['pull', '-q', '--platform', 'linux/arm64', `${name}:1`]);
        assert.equal(await docker.configDigest(`${name}:1`), imageFor(artifact, 'arm64').config.digest);
      }
      assert.equal(stage.origin.front.count({ door: HUB_DOOR }), 0);
    },
  },
  {
    name: 'D3',
    title: 'dockerd pulls from the origin in under 3 s when no agent runs',
    boundSeconds: 30,
    needs,
    run: async (stage) => {
      await using docker = await dockerOf(stage);
      const from = performance.now();
      await docker.pull('small:1');
      assert.ok(performance.now() - from < 3000, 'under three seconds');
      await expectImage(docker, 'small:1', stage.images.small);
    },
  },
  {
    name: 'D4',
    title: 'dockerd finishes a pull whose agent was killed in the middle of a layer',
    boundSeconds: 120,
    needs,
    run: async (stage) => {
      await using agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      const { front } = stage.origin;
      using _slow = front.fault({ door: AGENT_DOOR, path: /\/blobs\//, bytesPerSecond: 8 * MIB });
      const pulled = docker.pull('big:1');
      await until('the middle of the layer', 30_000, () => front.bytes() > 20 * MIB);
      await agent.kill();
      await pulled;
      await expectImage(docker, 'big:1', stage.images.big);
    },
  },
  {
    name: 'D7',
    title: 'a blob that the origin fails to serve costs dockerd seconds, not its minute of retries',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      const broken = imageFor(stage.images.small).layers.at(1)?.digest;
      const path = new RegExp(`/blobs/${broken}`);
      using _fault = stage.origin.front.fault({ door: AGENT_DOOR, path, status: 500 });
      const from = performance.now();
      await docker.pull('small:1');
      assert.ok(performance.now() - from < 15_000, 'falls back to the origin in seconds');
      await expectImage(docker, 'small:1', stage.images.small);
      const asked = performance.now();
      const answer = await fetch(`${agent.url}/v2/library/small/blobs/${broken}`);
      assert.equal(answer.status, 404);
      assert.ok(performance.now() - asked < FIRST_BYTE_MS_MAX, 'the agent does not keep a client waiting');
      assert.match(await answer.text(), /BLOB_UNKNOWN/);
    },
  },
  {
    name: 'D9',
    title: 'what was pulled before pulls again by tag and by digest while the origin is down',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      const { front } = stage.origin;
      await docker.pull('list:1');
      await using _agentDoor = await front.close(AGENT_DOOR);
      await using _hubDoor = await front.close(HUB_DOOR);
      for (const reference of ['list:1', `list@${stage.images.list.top.digest}`]) {
        await docker.wipe();
        await docker.pull(reference);
        await expectImage(docker, reference, stage.images.list);
      }
    },
  },
  {
    name: 'D10',
    title: 'three runtimes that pull one image at once cost the origin one download of each blob',
    boundSeconds: 90,
    needs: [...needs, 'containerd', 'ctr', 'podman'],
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      await using containerd = await startContainerd(join(stage.folder, 'containerd'), stage.authority.bundle);
      const { podman } = podmanFamily(join(stage.folder, 'podman'), stage.authority.bundle);
      const { front } = stage.origin;
      using _slow = front.fault({ path: /\/blobs\//, bytesPerSecond: 20 * MIB });
      const reference = 'docker.io/library/big:1';
      const clients = [docker, containerd.ctr, podman];
      await Promise.all(clients.map((client) => client.pull(reference)));
      for (const client of clients) await expectImage(client, reference, stage.images.big);
      assert.equal(front.bytes(), blobBytes(imageFor(stage.images.big)));
    },
  },
  {
    name: 'D11',
    title: 'dockerd pulls other registries by a path on localhost, and unknown ones are a clear 404',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      for (const origin of ['registry.example.com', 'plain.example.com_5080']) {
        const reference = `${LOCAL}/${origin}/team/small:1`;
        await docker.pull(reference);
        await expectImage(docker, reference, stage.images.small);
        assert.match(
          await docker.mustDocker(['images', '--format', '{{.Repository}}']),
          new RegExp(`${origin}/team/small`),
        );
        await docker.wipe();
      }
      const unknown = await docker.docker(['pull', `${LOCAL}/elsewhere.example.com/team/small:1`]);
      assert.notEqual(unknown.code, 0);
      assert.match(unknown.stderr, /--origin|not found|unknown/i);
    },
  },
  {
    name: 'D13',
    title: 'BuildKit builds from an image on the port that a native pull uses at the same time',
    boundSeconds: 90,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using docker = await dockerOf(stage);
      const context = join(stage.folder, 'Dockerfile');
      writeFileSync(context, 'FROM docker.io/library/small:1\nLABEL built=yes\n');
      const build = ['build', '--network', 'host', '-t', 'built:1', '-f', context, stage.folder];
      await Promise.all([docker.mustDocker(build, { DOCKER_BUILDKIT: '1' }), docker.pull('big:1')]);
      assert.equal(await docker.run('built:1'), HELLO);
      await expectImage(docker, 'big:1', stage.images.big);
      assert.equal(stage.origin.front.count({ door: HUB_DOOR }), 0);
    },
  },
];
