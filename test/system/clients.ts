import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { type Client, expectImage } from '../lab/client.ts';
import { startContainerd } from '../lab/containerd.ts';
import { startDocker } from '../lab/docker.ts';
import { blobBytes, HELLO, imageFor, MIB } from '../lab/images.ts';
import { AGENT_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { podmanFamily } from '../lab/podman.ts';
import { until } from '../lab/process.ts';
import type { Scenario, Stage } from './scenario.ts';

const REFERENCE = 'docker.io/library/twelve:1';
const BOUND_SECONDS = 240;
const CRASH_AFTER_BYTES = 100 * MIB;
const SLOW_BYTES_PER_SECOND = 80 * MIB;
const CRASH_WAIT_MS = 60_000;
/** What a crash in the middle may cost: everything that was fetched before is still there after it. */
const REFETCHED_SHARE_MAX = 0.05;

interface Start {
  readonly name: string;
  readonly needs: readonly string[];
  start(stage: Stage): Promise<{ client: Client; owner: AsyncDisposable }>;
}

const alone = (client: Client) => ({ client, owner: client });
const family = ({ folder, authority }: Stage) => podmanFamily(join(folder, 'podman'), authority.bundle);
const containerd = ({ folder, authority }: Stage) => startContainerd(join(folder, 'containerd'), authority.bundle);

const STARTS: readonly Start[] = [
  {
    name: 'dockerd',
    needs: ['dockerd', 'docker'],
    start: async ({ folder, authority }) => alone(await startDocker(join(folder, 'docker'), authority.bundle)),
  },
  {
    name: 'ctr',
    needs: ['containerd', 'ctr', 'runc'],
    start: async (stage) => {
      const owner = await containerd(stage);
      return { client: owner.ctr, owner };
    },
  },
  {
    name: 'cri',
    needs: ['containerd', 'ctr', 'runc'],
    start: async (stage) => {
      const owner = await containerd(stage);
      return { client: owner.cri, owner };
    },
  },
  { name: 'podman', needs: ['podman', 'runc'], start: async (stage) => alone(family(stage).podman) },
  { name: 'buildah', needs: ['buildah'], start: async (stage) => alone(family(stage).buildah) },
  { name: 'skopeo', needs: ['skopeo'], start: async (stage) => alone(family(stage).skopeo) },
];

/** Every client, through the same four days: cold, warm, origin gone, agent crashed half-way. */
export const clientScenarios: readonly Scenario[] = STARTS.map(({ name, needs, start }) => ({
  name: `pull-${name}`,
  title: `${name} pulls twelve layers cold, warm, without the origin, and through a crash of the agent`,
  boundSeconds: BOUND_SECONDS,
  needs,
  run: async (stage) => {
    await using agent = await startAgent({ folder: join(stage.folder, 'agent'), originUrl: stage.origin.url });
    const { client, owner } = await start(stage);
    await using _ = owner;
    const { front } = stage.origin;
    const { twelve } = stage.images;
    const bytes = blobBytes(imageFor(twelve));
    const pull = async () => {
      await client.wipe();
      front.forget();
      await client.pull(REFERENCE);
      await expectImage(client, REFERENCE, twelve);
    };

    await pull();
    assert.equal(front.bytes({ door: AGENT_DOOR }), bytes, 'cold: each byte leaves the origin once');
    assert.equal(front.count({ door: HUB_DOOR }), 0, 'cold: nothing goes round the agent');
    assert.ok([undefined, HELLO].includes(await client.run(REFERENCE)), 'the container runs');

    await pull();
    assert.equal(front.bytes(), 0, 'warm: no blob leaves the origin');

    {
      await using _agentDoor = await front.close(AGENT_DOOR);
      await using _hubDoor = await front.close(HUB_DOOR);
      await pull();
      assert.ok([undefined, HELLO].includes(await client.run(REFERENCE)), 'the container runs without the origin');
    }

    await agent.kill();
    rmSync(agent.data, { recursive: true });
    await agent.restart();
    await client.wipe();
    front.forget();
    using _slow = front.fault({ door: AGENT_DOOR, path: /\/blobs\//, bytesPerSecond: SLOW_BYTES_PER_SECOND });
    const first = client.pull(REFERENCE).then(
      () => true,
      () => false,
    );
    await until('half of the image to arrive', CRASH_WAIT_MS, () => front.bytes() >= CRASH_AFTER_BYTES);
    await agent.kill();
    await agent.restart();
    if (!(await first)) await client.pull(REFERENCE);
    await expectImage(client, REFERENCE, twelve);
    const fetched = front.bytes({ door: AGENT_DOOR });
    assert.ok(fetched <= bytes * (1 + REFETCHED_SHARE_MAX), `crash: ${fetched} bytes fetched of an image of ${bytes}`);
  },
}));
