import { startNginxCache, startRegistryCache } from '../lab/caches.ts';
import { calibrate } from '../lab/calibrate.ts';
import { startRuntimes } from '../lab/host-runtimes.ts';
import { type Hosts, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import type { Figures, Proof } from './proof.ts';
import {
  egressMax,
  figuresOf,
  inMib,
  isClean,
  judge,
  type Links,
  limitSeconds,
  measure,
  type Run,
  round,
  touchMemory,
  warmUp,
} from './swarm-run.ts';

const SLOWEST_OVER_LIMIT_MAX = 1.25;
/** In the seconds of a short form every agent still warms up, all on the same few cores. */
const SLOWEST_OVER_LIMIT_MAX_SHORT = 2;

interface Herd extends Links {
  readonly bytes: number;
  /** Whether the same is measured without agents, and through the caches that people use instead. */
  readonly isCompared: boolean;
}

const needs = ['docker-registry', 'dockerd', 'docker', 'nginx', 'curl', 'ip'];

/** Every host wants one cold image at once, one of them with dockerd as well: none waits much longer than it must, and the origin sends it once. */
export const swarmHerd: Proof = {
  name: 'swarm-herd',
  title: 'sixteen hosts (short: six) pull one cold image at once, beside the same without agents',
  needs,
  run: (folder, isShort) => {
    const short = {
      hosts: 6,
      hostMbit: 50,
      originMbit: 50,
      bytes: 32 * MIB,
      isCompared: false,
      overLimitMax: SLOWEST_OVER_LIMIT_MAX_SHORT,
    };
    const full = { hosts: 16, hostMbit: 100, originMbit: 100, bytes: 128 * MIB, isCompared: true };
    return herd(folder, isShort ? short : full, isShort);
  },
};

export const swarmHerd32: Proof = {
  name: 'swarm-herd-32',
  title: 'thirty-two hosts on 50 Mbit/s, likewise',
  needs,
  run: (folder) => herd(folder, { hosts: 32, hostMbit: 50, originMbit: 50, bytes: 64 * MIB, isCompared: true }),
};

/** Few enough for two cores: the network is what is measured. */
export const swarmHerdFew: Proof = {
  name: 'swarm-herd-few',
  title: 'four hosts, which leave the processor room',
  needs,
  run: (folder) => herd(folder, { hosts: 4, hostMbit: 100, originMbit: 100, bytes: 128 * MIB, isCompared: false }),
};

/** An origin ten times as fast as a host, which tempts every host to ask it. */
export const swarmHerdFast: Proof = {
  name: 'swarm-herd-fast',
  title: 'sixteen hosts, and an origin ten times as fast as each',
  needs,
  run: (folder) => herd(folder, { hosts: 16, hostMbit: 100, originMbit: 1000, bytes: 128 * MIB, isCompared: false }),
};

async function herd(folder: string, { bytes, isCompared, ...links }: Herd, isShort = false): Promise<Figures> {
  const { hosts, hostMbit, originMbit } = links;
  await using lab = await startHosts({ folder, ...links });
  const [one, other] = lab.hosts;
  if (!one || !other) throw new Error('a herd has at least two hosts');
  const carriedMbit = await calibrate(one, other);
  const image = await lab.origin.push('herd', bytes);
  const limit = limitSeconds(links, image.bytes);
  console.log(
    `     links carry ${carriedMbit.toFixed(1)} of ${hostMbit} Mbit/s; no scheme takes under ${limit.toFixed(1)} s`,
  );
  await using runtimes = await startRuntimes(lab.hosts.slice(0, 1));
  const first = await warmUp(lab, isShort ? undefined : bytes);
  touchMemory(lab, image.bytes);
  const run = await measure({ lab, image, runtimes: runtimes.clients });
  const figures: Figures = {
    hosts,
    hostMbit,
    originMbit,
    carriedMbit: round(carriedMbit, 1),
    imageMiB: inMib(image.bytes),
    limitSeconds: round(limit),
    ...figuresOf('warmUp', first),
    ...figuresOf('swarm', run, limit),
    ...(isCompared ? await comparisons(lab, image, limit) : {}),
  };
  const overLimitMax = isShort ? SLOWEST_OVER_LIMIT_MAX_SHORT : SLOWEST_OVER_LIMIT_MAX;
  const promises = {
    [`slowest ≤ ${overLimitMax} × the limit`]: run.slowestSeconds <= overLimitMax * limit,
    [`egress ≤ ${egressMax(isShort)}`]: run.egress <= egressMax(isShort),
    'every pull succeeds': isClean(first) && isClean(run),
  };
  return judge(figures, promises, [first, run]);
}

/** The same image over the same links by other means. */
async function comparisons(lab: Hosts, image: Parameters<typeof measure>[0]['image'], limit: number): Promise<Figures> {
  const through = async (base: string): Promise<Run> => measure({ lab, image, from: { base } });
  const direct = await through(lab.origin.url);
  await using nginx = await startNginxCache(lab);
  const proxied = await through(nginx.url);
  await using registry = await startRegistryCache(lab);
  const cached = await through(registry.url);
  return {
    ...figuresOf('direct', direct, limit),
    ...figuresOf('nginxCache', proxied, limit),
    ...figuresOf('registryCache', cached, limit),
  };
}
