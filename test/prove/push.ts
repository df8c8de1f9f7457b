import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { peakResidentBytesOf } from '../lab/agent.ts';
import { startContainerd } from '../lab/containerd.ts';
import { type Docker, startDocker } from '../lab/docker.ts';
import { type Host, type Hosts, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { type Podman, podmanOn } from '../lab/podman.ts';
import { must, tail, until } from '../lab/process.ts';
import { noise, tar } from '../lab/tar.ts';
import type { Figures, Proof } from './proof.ts';
import { inMib, judge, round } from './swarm-run.ts';

const ORIGIN = 'registry.example.com';
/** No authority is trusted: whatever does not go through the agent fails. */
const NO_AUTHORITIES = '/dev/null';
/** A layer of 24 MiB then takes 40 s, one of 200 MiB 335 s: longer than any wait for a request that is whole. */
const SLOW_MBIT = 5;
/** Slow enough that the middle of a push can be met. */
const MIDDLE_SECONDS = 8;
const MIDDLE_WAIT_MS = 60_000;
const PUSH_BOUND_MS = 900_000;
/** What a push that has nothing to bring may say. */
const WORDS_BYTES_MAX = MIB / 4;
const RESIDENT_BYTES_MAX = 256 * MIB;

/** Build hosts push through their agents, and so are the first to have what others pull. */
export const push: Proof = {
  name: 'push',
  title: 'dockerd, podman and ctr push through the agent; others pull without the origin sending a layer',
  needs: ['docker-registry', 'dockerd', 'docker', 'podman', 'containerd', 'ctr', 'ip'],
  run: async (folder, isShort) => {
    const bytes = (isShort ? 24 : 200) * MIB;
    await using lab = await startHosts({ folder, hosts: 3, more: ['--config', configFile(folder)] });
    const [builder, slow, puller] = lab.hosts as [Host, Host, Host];
    await using docker = await startDocker(join(builder.folder, 'docker'), NO_AUTHORITIES, builder.port.inside);
    const podman = podmanOn(slow.port.inside, join(slow.folder, 'podman'), NO_AUTHORITIES);
    const slowly = pushSlowly(slow, podman, bytes);
    // Whatever happens meanwhile is told first.
    slowly.catch(() => undefined);
    const stage = { builder, docker, bytes, brokenBytes: (isShort ? 24 : 64) * MIB };
    const scenes = await pushAll(stage);
    const slowSeconds = await slowly;
    await pushThroughReset(stage, lab);
    await pushWithContainerd(stage, puller);
    const pulled = await pullAll(lab, [
      ...['mounted', 'app', 'address', 'killed', 'restarted', 'reset', 'slow'].map((name) => [puller, name] as const),
      [slow, 'ctr'],
    ]);
    const peaks = [...scenes.peaks, ...[builder, slow, puller].map(({ agent }) => peakResidentBytesOf(agent.pid()))];
    const figures = {
      layerMiB: inMib(bytes),
      ...scenes.figures,
      slowSeconds: round(slowSeconds, 1),
      ...pulled.figures,
      peakMiB: inMib(Math.max(...peaks)),
    };
    const promises = {
      'a push that brings nothing new sends nothing':
        Math.max(scenes.againBytes, scenes.mountedBytes) <= WORDS_BYTES_MAX,
      'the build host holds what it pushed': await holds(builder, 'team/app'),
      'a slow push outlasts every wait': slowSeconds > (isShort ? 30 : 300),
      'every pull succeeds': pulled.problems.length === 0,
      'the origin is asked for no blob': pulled.blobs === 0,
      [`≤ ${RESIDENT_BYTES_MAX / MIB} MiB resident`]: Math.max(...peaks) <= RESIDENT_BYTES_MAX,
    };
    if (pulled.problems.length > 0) throw new Error(pulled.problems.join('\n'));
    return judge(figures, promises, []);
  },
};

function configFile(folder: string): string {
  const file = join(folder, 'push.yaml');
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, JSON.stringify({ origins: { [ORIGIN]: { access: 'node', push: true } } }));
  return file;
}

interface Stage {
  readonly builder: Host;
  readonly docker: Docker;
  readonly bytes: number;
  /** Of the layers whose pushes are broken off. */
  readonly brokenBytes: number;
}

interface Scenes {
  readonly figures: Figures;
  readonly againBytes: number;
  readonly mountedBytes: number;
  /** Of agents that ended meanwhile. */
  readonly peaks: readonly number[];
}

/** Everything dockerd pushes, one after the other. */
async function pushAll(stage: Stage): Promise<Scenes> {
  const { builder, docker, bytes, brokenBytes } = stage;
  const app = await imported(stage, 'localhost', 'app', bytes);
  const from = performance.now();
  const freshBytes = await pushed(stage, app);
  const freshSeconds = (performance.now() - from) / 1000;
  const againBytes = await pushed(stage, app);
  const mounted = referenceOf('localhost', 'mounted');
  await docker.mustDocker(['tag', app, mounted]);
  const mountedBytes = await pushed(stage, mounted);
  await pushed(stage, await imported(stage, '127.0.0.1', 'address', bytes));

  const killed = await imported(stage, 'localhost', 'killed', brokenBytes);
  await inTheMiddle(stage, killed, async (kill) => kill());
  await pushed(stage, killed);

  const peaks: number[] = [];
  const restarted = await imported(stage, 'localhost', 'restarted', brokenBytes);
  await inTheMiddle(stage, restarted, async () => {
    peaks.push(peakResidentBytesOf(builder.agent.pid()));
    await builder.agent.kill();
    await builder.agent.restart();
  });

  const figures = {
    freshMiB: inMib(freshBytes),
    freshMBPerSecond: Math.round(freshBytes / 1e6 / freshSeconds),
    againKiB: round(againBytes / 1024, 1),
    mountedKiB: round(mountedBytes / 1024, 1),
  };
  return { figures, againBytes, mountedBytes, peaks };
}

/** The origin breaks every connection in the middle of a push. */
async function pushThroughReset(stage: Stage, { origin }: Hosts): Promise<void> {
  const reset = await imported(stage, 'localhost', 'reset', stage.brokenBytes);
  await inTheMiddle(stage, reset, async () => {
    await origin.stop();
    await origin.startAgain();
  });
}

function referenceOf(host: string, name: string): string {
  return `${host}:5050/${ORIGIN}/team/${name}:1`;
}

/** An image of one layer that no other image has. */
async function imported({ builder, docker }: Stage, host: string, name: string, bytes: number): Promise<string> {
  const reference = referenceOf(host, name);
  await docker.mustDocker(['import', archive(builder, name, bytes), reference]);
  return reference;
}

function archive({ folder }: Host, name: string, bytes: number): string {
  const file = join(folder, `${name}.tar`);
  writeFileSync(file, tar([{ path: 'data', mode: 0o644, bytes: noise(bytes, name) }]));
  return file;
}

/** Pushes to the end, and returns what the host put on the wire for it. */
async function pushed({ builder, docker }: Stage, reference: string): Promise<number> {
  const before = await builder.port.sent();
  await must('docker', ['push', '-q', reference], { env: docker.env, boundMs: PUSH_BOUND_MS });
  const { payloadBytes } = await builder.port.sent();
  return payloadBytes - before.payloadBytes;
}

/** Pushes over a slow link, does something when half of it is through, and lets dockerd see to the rest. */
async function inTheMiddle(
  { builder, docker, brokenBytes }: Stage,
  reference: string,
  strike: (kill: () => void) => Promise<void>,
): Promise<void> {
  await builder.port.limit((brokenBytes * 8) / 1e6 / MIDDLE_SECONDS);
  const before = (await builder.port.sent()).payloadBytes;
  const log = openSync(join(builder.folder, 'push.log'), 'w');
  const client = spawn('docker', ['push', reference], {
    env: { ...process.env, ...docker.env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = once(client, 'exit');
  let isKilled = false;
  try {
    const isHalf = async () => (await builder.port.sent()).payloadBytes - before >= brokenBytes / 2;
    await until('the middle of the push', MIDDLE_WAIT_MS, isHalf);
    await strike(() => {
      isKilled = client.kill('SIGKILL');
    });
    await builder.port.limit();
    const [code] = await ended;
    const said = tail(join(builder.folder, 'push.log'));
    if (!isKilled && code !== 0) throw new Error(`docker push ${reference} ended with ${code}: ${said}`);
  } finally {
    client.kill('SIGKILL');
  }
}

/** Pushes with podman over a link that is slow from end to end. */
async function pushSlowly(host: Host, { podman }: Podman, bytes: number): Promise<number> {
  const reference = referenceOf('localhost', 'slow');
  await podman(['import', archive(host, 'slow', bytes), reference]);
  await host.port.limit(SLOW_MBIT);
  const from = performance.now();
  await podman(['push', '-q', '--tls-verify=false', reference], PUSH_BOUND_MS);
  await host.port.limit();
  return (performance.now() - from) / 1000;
}

/** Pushes with containerd, which sends each blob whole. */
async function pushWithContainerd(stage: Stage, host: Host): Promise<void> {
  const reference = await imported(stage, 'localhost', 'ctr', stage.brokenBytes);
  const file = join(stage.builder.folder, 'ctr-image.tar');
  await stage.docker.mustDocker(['save', '-o', file, reference]);
  await using containerd = await startContainerd(join(host.folder, 'containerd'), NO_AUTHORITIES, host.port.inside);
  await containerd.run('images', 'import', file);
  await containerd.run('images', 'push', '--plain-http', reference);
}

interface Pulled {
  readonly figures: Figures;
  readonly problems: readonly string[];
  /** Blobs that the origin was asked for, by anyone since it began. */
  readonly blobs: number;
}

/** Pulls everything, each on a host that did not push it. */
async function pullAll({ origin }: Hosts, wanted: readonly (readonly [Host, string])[]): Promise<Pulled> {
  const before = (await origin.sent()).payloadBytes;
  const problems: string[] = [];
  let soundBytes = 0;
  let blobs = 0;
  for (const [{ address, errands }, name] of wanted) {
    const order = { base: 'http://127.0.0.1:5050', repository: `${ORIGIN}/team/${name}`, reference: '1' };
    const report = await errands.pull(order, PUSH_BOUND_MS);
    soundBytes += report.soundBytes;
    problems.push(...report.problems.map((problem) => `${address} ${name} ${problem}`));
    const asked = origin.pullsOf(`team/${name}`);
    blobs += asked;
    if (asked > 0) problems.push(`${name}: the origin was asked for ${asked} parts of blobs`);
  }
  const sent = (await origin.sent()).payloadBytes - before;
  const figures = { pulledMiB: inMib(soundBytes), originBlobGets: blobs, originKiB: round(sent / 1024, 1) };
  return { figures, problems, blobs };
}

async function holds(host: Host, path: string): Promise<boolean> {
  const { images } = (await host.agent.ask('/api/images')) as { images: { repository: string; isComplete: boolean }[] };
  return images.some(({ repository, isComplete }) => repository === `${ORIGIN}/${path}` && isComplete);
}
