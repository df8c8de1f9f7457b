import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_COMMAND, type Agent, startAgent } from '../lab/agent.ts';
import { makeAuthority } from '../lab/certificates.ts';
import { type Client, expectImage } from '../lab/client.ts';
import { startPackagedContainerd } from '../lab/containerd.ts';
import { startPackagedDocker } from '../lab/docker.ts';
import { type Artifact, busyboxLayer, image, MIB, noiseLayer, push, single } from '../lab/images.ts';
import { HUB_DOOR, type Origin, startOrigin } from '../lab/origin.ts';
import { packagedPodman } from '../lab/podman.ts';
import { must } from '../lab/process.ts';
import { treeOf } from '../lab/tree.ts';
import type { Figures } from './proof.ts';

const REFERENCE = 'docker.io/library/setup:1';

interface Started {
  readonly clients: readonly Client[];
  readonly owner: AsyncDisposable;
}

/** A runtime that reads the machine's own folder, which is a private one here. */
interface Subject {
  readonly name: 'docker' | 'containerd' | 'podman';
  readonly folder: string;
  /** Writes what a package or an operator would have written. */
  configure(): Promise<void>;
  start(): Promise<Started>;
  /** What it leaves to the operator to restart it after. */
  readonly restartAfter: readonly ('setup' | 'undo')[];
}

interface Stage {
  readonly agent: Agent;
  readonly origin: Origin;
  readonly artifact: Artifact;
}

/** Sets each runtime up as an operator would, pulls, stops the agent, pulls, undoes it, and pulls. */
export async function setUpRuntimes(folder: string): Promise<Figures> {
  mkdirSync(join(folder, 'tls'), { recursive: true });
  const authority = await makeAuthority(join(folder, 'tls'), ['registry-1.docker.io', 'registry.example.com']);
  await using origin = await startOrigin(join(folder, 'origin'), authority);
  const artifact = single(image([busyboxLayer(), noiseLayer('setup', MIB)], 'docker'));
  await push(origin.direct, 'library/setup', '1', artifact);
  await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
  const subjects = [
    dockerIn(folder, authority.bundle),
    containerdIn(folder, authority.bundle),
    podmanIn(folder, authority.bundle),
  ];
  let runtimePulls = 0;
  for (const subject of subjects) runtimePulls += await tryRuntime(subject, { agent, origin, artifact });
  await must('umount', ['/etc/containers']);
  return { runtimePulls };
}

async function tryRuntime(subject: Subject, { agent, origin, artifact }: Stage): Promise<number> {
  const { name, folder, restartAfter } = subject;
  const { front } = origin;
  let pulls = 0;
  await subject.configure();
  let { clients, owner } = await subject.start();
  const restart = async (after: 'setup' | 'undo') => {
    if (!restartAfter.includes(after)) return;
    await owner[Symbol.asyncDispose]();
    ({ clients, owner } = await subject.start());
  };
  const setup = async (...words: readonly string[]): Promise<string> =>
    must(AGENT_COMMAND, ['setup', name, ...words], { env: { NO_COLOR: '1' } });
  const pullAll = async (when: string, isRound: boolean) => {
    for (const client of clients) {
      await client.wipe();
      front.forget();
      await client.pull(REFERENCE);
      await expectImage(client, REFERENCE, artifact);
      assert.equal(front.count({ door: HUB_DOOR }) > 0, isRound, `${client.name} ${when}`);
      pulls += 1;
    }
  };
  try {
    const before = treeOf(folder);
    await pullAll('goes to the origin before setup', true);
    const told = await setup('--canary', REFERENCE);
    assert.ok(told.includes(`${name} pulled it, and asked the agent`), told);
    await restart('setup');
    await pullAll('comes through the agent after setup', false);
    assert.match(await setup('--canary', REFERENCE), /nothing to change/);
    await agent.stop();
    await pullAll('goes to the origin without the agent', true);
    await agent.restart();
    await setup('--undo');
    assert.deepEqual(treeOf(folder), before, `${folder} is as it was`);
    await restart('undo');
    await pullAll('goes to the origin after --undo', true);
  } finally {
    await owner[Symbol.asyncDispose]();
  }
  return pulls;
}

function dockerIn(folder: string, authorities: string): Subject {
  const settings = {
    'data-root': join(folder, 'docker-data'),
    'exec-root': join(folder, 'docker-exec'),
    'log-level': 'warn',
  };
  return {
    name: 'docker',
    folder: '/etc/docker',
    restartAfter: ['undo'],
    configure: async () => writeFileSync('/etc/docker/daemon.json', `${JSON.stringify(settings, undefined, 4)}\n`),
    start: async () => {
      const docker = await startPackagedDocker(join(folder, 'docker'), authorities);
      return { clients: [docker], owner: docker };
    },
  };
}

function containerdIn(folder: string, authorities: string): Subject {
  const settings = [
    '# Ours.',
    'version = 2',
    `root = "${join(folder, 'containerd-root')}"`,
    `state = "${join(folder, 'containerd-state')}"`,
    '[plugins."io.containerd.internal.v1.opt"]',
    `  path = "${join(folder, 'opt')}"`,
    '',
  ].join('\n');
  return {
    name: 'containerd',
    folder: '/etc/containerd',
    restartAfter: ['setup', 'undo'],
    configure: async () => writeFileSync('/etc/containerd/config.toml', settings),
    start: async () => {
      const owner = await startPackagedContainerd(join(folder, 'containerd'), authorities);
      return { clients: [owner.ctr, owner.cri], owner };
    },
  };
}

function podmanIn(folder: string, authorities: string): Subject {
  return {
    name: 'podman',
    folder: '/etc/containers',
    restartAfter: [],
    configure: async () => {
      cpSync('/etc/containers', join(folder, 'containers'), { recursive: true });
      await must('mount', ['--bind', join(folder, 'containers'), '/etc/containers']);
    },
    start: async () => {
      const podman = packagedPodman(join(folder, 'podman'), authorities);
      return { clients: [podman], owner: podman };
    },
  };
}
