import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST, startAgent } from '../lab/agent.ts';
import { composeDown, composeUp } from '../lab/compose.ts';
import { type Docker, startDocker } from '../lab/docker.ts';
import { image, MIB, noiseLayer, push, single } from '../lab/images.ts';
import { until } from '../lab/process.ts';
import { buildImage, importRegistry, profileOfUnit, runOptions, sandboxOf } from '../lab/release.ts';
import { type StaticOrigin, startStaticOrigin } from '../lab/static-origin.ts';
import { noise } from '../lab/tar.ts';
import type { Figures, Proof } from './proof.ts';

const IMAGE = 'drayage:lab';
const REGISTRY = 'registry:lab';
const ADMIN = 'http://127.0.0.1:5051';
/** It pulls nothing from anywhere. */
const NO_AUTHORITIES = '/dev/null';
const BLOB_BYTES = 8 * MIB;
/** Of the pull that goes on while the container is told to end: it takes 4 s. */
const SLOW_BYTES_PER_SECOND = 2 * MIB;
const READY_WAIT_MS = 20_000;
const HEALTHY_WAIT_MS = 30_000;

/**
 * The image is built and run as deploy/ says. Without a systemd to run the unit, what the unit lets through is put upon
 * the image (system calls, address families) and upon the bundle (mounts, user).
 */
export const container: Proof = {
  name: 'container',
  title: 'what deploy/ says runs: without root, on a read-only disk, in the sandbox, as a swarm',
  needs: ['dockerd', 'docker', 'docker-registry', 'busybox', 'iptables', 'systemd-analyze'],
  run: async (folder) => {
    await using origin = await startStaticOrigin();
    await using docker = await startDocker(join(folder, 'docker'), NO_AUTHORITIES);
    const bundle = await buildImage(docker, folder, IMAGE);
    const figures = await asContainer({ docker, origin });
    await underSystemCalls({ docker, origin }, folder);
    await asCompose(docker, folder);
    await onPrivateDisk(origin, folder, bundle);
    return figures;
  },
};

/** Of what is told of a blob, whom its bytes came from. */
interface Explained {
  readonly stories: readonly { readonly fromMembers: readonly unknown[] }[];
}

interface Lab {
  readonly docker: Docker;
  readonly origin: StaticOrigin;
}

async function asContainer({ docker, origin }: Lab): Promise<Figures> {
  const name = 'as-container';
  const started = performance.now();
  await docker.mustDocker(['run', '-d', ...runOptions(name, originOptions(origin)), IMAGE]);
  await untilReady();
  const readySeconds = (performance.now() - started) / 1000;
  await expectLocks(docker, name);
  const held = await pull(origin, 'held');
  const isHealthy = async () => (await inspect(docker, name, '.State.Health.Status')) === 'healthy';
  await until('the health check to pass', HEALTHY_WAIT_MS, isHealthy);
  const status = JSON.parse(await docker.mustDocker(['exec', name, 'drayage', 'status', '--json']));
  assert.equal(status.store.bytes, BLOB_BYTES, 'what was pulled is in the volume');

  origin.bytesPerSecond = SLOW_BYTES_PER_SECOND;
  const before = origin.bytes;
  const slow = pull(origin, 'slow');
  await until('the slow pull to begin', READY_WAIT_MS, () => origin.bytes > before);
  const stopping = performance.now();
  await docker.mustDocker(['stop', name]);
  const stopSeconds = (performance.now() - stopping) / 1000;
  await slow;
  origin.bytesPerSecond = undefined;
  assert.equal(await inspect(docker, name, '.State.ExitCode'), '0', await logsOf(docker, name));

  await docker.mustDocker(['start', name]);
  await untilReady();
  const gets = origin.gets;
  await held();
  assert.equal(origin.gets, gets, 'what was pulled is there after a restart');
  await docker.mustDocker(['stop', name]);
  await docker.mustDocker(['rm', '-v', name]);
  const round = (seconds: number) => Number(seconds.toFixed(1));
  return { readySeconds: round(readySeconds), stopWithAPullSeconds: round(stopSeconds) };
}

async function underSystemCalls({ docker, origin }: Lab, folder: string): Promise<void> {
  const name = 'under-system-calls';
  const profile = join(folder, 'seccomp.json');
  writeFileSync(profile, JSON.stringify(await profileOfUnit()));
  // Without new privileges, runc loads the filter last: what it needs itself is not asked of the unit.
  const sandbox = ['--security-opt', 'no-new-privileges', '--security-opt', `seccomp=${profile}`];
  const key = join(folder, 'swarm.key');
  writeFileSync(key, await docker.mustDocker(['run', '--rm', '--network', 'none', ...sandbox, IMAGE, 'key', 'new']));
  const mount = ['-v', `${key}:/swarm.key:ro`, '-e', 'DRAYAGE_SWARM_KEY_FILE=/swarm.key'];
  await docker.mustDocker(['run', '-d', ...runOptions(name, [...originOptions(origin), ...sandbox, ...mount]), IMAGE]);
  await untilReady();
  await expectLocks(docker, name);
  await (await pull(origin, 'sandboxed'))();
  const { identity } = JSON.parse(await docker.mustDocker(['exec', name, 'drayage', 'status', '--json']));
  assert.ok(identity, 'it is a member of a swarm');
  const refused = await docker.docker(['exec', name, 'node', '-e', 'os.setPriority(5)']);
  assert.match(refused.stderr, /EPERM|EACCES/, 'what the unit does not let through is refused');
  await docker.mustDocker(['stop', name]);
  assert.equal(await inspect(docker, name, '.State.ExitCode'), '0', await logsOf(docker, name));
  await docker.mustDocker(['rm', '-v', name]);
}

/** What the beginning of the file says to type, but for the building. */
async function asCompose(docker: Docker, folder: string): Promise<void> {
  await importRegistry(docker, folder, REGISTRY);
  const file = join(import.meta.dirname, '../../deploy/compose.yaml');
  const images = { drayage: IMAGE, 'registry:3.0.0': REGISTRY };
  const up = await composeUp(docker, file, images);
  const published = async (address: string) => (await fetch(`http://${address}/v2/`)).ok;
  await until('the origin to answer', READY_WAIT_MS, () => published('127.0.0.1:5000'));
  const made = image([noiseLayer('compose', MIB)], 'oci');
  await push('http://127.0.0.1:5000', 'demo/app', '1', single(made));
  const drayage = (name: string, ...words: readonly string[]) =>
    docker.mustDocker(['exec', name, 'drayage', ...words, '--json']);
  const membersOf = async (name: string) => JSON.parse(await drayage(name, 'status')).members;
  await until('the agents to meet', READY_WAIT_MS, async () => (await membersOf('agent-2')) === 2);
  await drayage('agent-1', 'pull', 'demo/app:1');
  await drayage('agent-2', 'pull', 'demo/app:1');
  const { blobs } = JSON.parse(await drayage('agent-2', 'explain', 'demo/app:1'));
  const givers = blobs.flatMap(({ stories }: Explained) => stories.map(({ fromMembers }) => fromMembers.length));
  assert.ok(givers.length > 0 && !givers.includes(0), 'agent-2 has all of it from agent-1');
  const [layer] = made.layers;
  const answer = await fetch(`http://localhost:5250/v2/demo/app/blobs/${layer?.digest}`);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(layer?.bytes ?? Buffer.alloc(0)), 'agent-3 gives the layer');
  await composeUp(docker, file, images, ['key']);
  await composeDown(docker, up);
}

async function onPrivateDisk(origin: StaticOrigin, folder: string, bundle: string): Promise<void> {
  const sandbox = sandboxOf(bundle);
  await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url, ...sandbox });
  await (await pull(origin, 'private disk'))();
  assert.equal(await agent.stop(), 0);
}

/** Pulls a new blob and checks it; what is returned pulls it again. */
async function pull(origin: StaticOrigin, seed: string): Promise<() => Promise<void>> {
  const digest = origin.add(noise(BLOB_BYTES, seed));
  const again = async () => {
    const answer = await fetch(`http://${AGENT_HOST}/v2/library/app/blobs/${digest}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest, `${answer.status}`);
  };
  await again();
  return again;
}

const originOptions = ({ url }: StaticOrigin) => ['-e', `DRAYAGE_ORIGIN=docker.io=${url}`];

async function untilReady(): Promise<void> {
  const answers = async (path: string) => (await fetch(`${ADMIN}${path}`)).status === 200;
  await until('the agent in the container to be ready', READY_WAIT_MS, async () => {
    return (await answers('/livez')) && (await answers('/readyz'));
  });
}

/** The kernel's word on who the agent is and what it may do. */
async function expectLocks(docker: Docker, name: string): Promise<void> {
  const status = readFileSync(`/proc/${await inspect(docker, name, '.State.Pid')}/status`, 'utf8');
  const row = (title: string) => new RegExp(`^${title}:\\s+(\\S+)`, 'm').exec(status)?.[1];
  const locks = {
    user: row('Uid'),
    capabilities: row('CapBnd'),
    noNewPrivileges: row('NoNewPrivs'),
    filter: row('Seccomp'),
  };
  assert.deepEqual(locks, { user: '65532', capabilities: '0000000000000000', noNewPrivileges: '1', filter: '2' });
}

const inspect = (docker: Docker, name: string, what: string) =>
  docker.mustDocker(['inspect', '--format', `{{${what}}}`, name]);

async function logsOf(docker: Docker, name: string): Promise<string> {
  return (await docker.docker(['logs', '--tail', '25', name])).stderr;
}
