import { setTimeout as sleep } from 'node:timers/promises';
import { startRuntimes } from '../lab/host-runtimes.ts';
import { startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { type Proof, seeded } from './proof.ts';
import {
  egressMax,
  figuresOf,
  inMib,
  isClean,
  judge,
  limitSeconds,
  linksFor,
  measure,
  round,
  warmUp,
} from './swarm-run.ts';

const SEED = 20_261_121;
const RUNTIMES = 3;

/** Hosts that come at random times find those who came before half-way through. */
export const swarmJitter: Proof = {
  name: 'swarm-jitter',
  title: 'hosts begin at random within seconds of each other',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes, windowSeconds] = isShort ? [6, 32 * MIB, 5] : [16, 128 * MIB, 10];
    const links = linksFor(count, isShort);
    await using lab = await startHosts({ folder, ...links });
    await warmUp(lab);
    const image = await lab.origin.push('jitter', bytes);
    const random = seeded(SEED);
    const delays = lab.hosts.map(() => random() * windowSeconds * 1000);
    const run = await measure({ lab, image, begin: (_, at) => sleep(delays[at]) });
    const limit = limitSeconds(links, image.bytes);
    const figures = { ...links, imageMiB: inMib(image.bytes), windowSeconds, ...figuresOf('', run, limit), seed: SEED };
    return judge(
      figures,
      { [`egress ≤ ${egressMax(isShort)}`]: run.egress <= egressMax(isShort), clean: isClean(run) },
      [run],
    );
  },
};

/** Each host begins when the one before it is done, as a rolling update does; the last are real runtimes. */
export const swarmWave: Proof = {
  name: 'swarm-wave',
  title: 'hosts pull one after another, the last with dockerd, containerd and podman',
  needs: ['docker-registry', 'dockerd', 'docker', 'containerd', 'ctr', 'podman', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [6, 16 * MIB] : [16, 64 * MIB];
    const links = linksFor(count, isShort);
    await using lab = await startHosts({ folder, ...links });
    await using runtimes = await startRuntimes(lab.hosts.slice(-RUNTIMES));
    const image = await lab.origin.push('wave', bytes);
    const before = await lab.origin.sent();
    const runs = [];
    for (const host of lab.hosts.slice(0, -RUNTIMES)) runs.push(await measure({ lab, image, hosts: [host] }));
    for (const client of runtimes.clients) {
      runs.push(await measure({ lab, image, hosts: [], runtimes: [client] }));
    }
    const egress = ((await lab.origin.sent()).payloadBytes - before.payloadBytes) / image.bytes;
    const slowest = Math.max(...runs.slice(0, -RUNTIMES).map((run) => run.slowestSeconds));
    const figures = {
      ...links,
      imageMiB: inMib(image.bytes),
      SlowestSeconds: round(slowest),
      SlowestOverLink: round(slowest / limitSeconds(links, image.bytes)),
      Egress: round(egress, 3),
    };
    return judge(
      figures,
      { [`egress ≤ ${egressMax(isShort)}`]: egress <= egressMax(isShort), clean: runs.every(isClean) },
      runs,
    );
  },
};
