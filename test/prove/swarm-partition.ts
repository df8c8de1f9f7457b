import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, type Hosts, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { now } from '../lab/pull-image.ts';
import type { Proof } from './proof.ts';
import { figuresOf, inMib, isClean, judge, linksFor, measure, type Run, round } from './swarm-run.ts';

const WHOLE_SECONDS_MAX = 30;
const EGRESS_MAX = 1.02;
/** Answers about tags and access are all that the origin may send for what members hold. */
const EGRESS_NONE_MAX = 0.02;
const PROBES = 8;
const PROBE_BYTES = 4 * MIB;
const PROBE_EVERY_MS = 4000;

/** A network that falls in two leaves two swarms, and one again when it is mended. */
export const swarmPartition: Proof = {
  name: 'swarm-partition',
  title: 'half of the hosts are cut off from the others and the origin, and come back',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [8, 8 * MIB] : [16, 32 * MIB];
    await using lab = await startHosts({ folder, ...linksFor(count, isShort) });
    const near = lab.hosts.slice(0, count / 2);
    const far = lab.hosts.slice(count / 2);
    const [nearest, ...nearOthers] = near;
    const [farthest, ...farOthers] = far;
    if (!nearest || !farthest) throw new Error('no hosts');
    const shared = await lab.origin.push('shared', bytes);
    const apart = await lab.origin.push('apart', bytes);
    const from = { byDigest: true };
    const held = await measure({ lab, image: shared, hosts: [nearest, farthest] });
    await lab.network.split(far.map(({ port }) => port));
    // The far half has one holder and no origin; the near half has the origin, and an image the far one cannot know of.
    const farShared = await measure({ lab, image: shared, hosts: farOthers, from });
    const nearShared = await measure({ lab, image: shared, hosts: nearOthers, from });
    const nearApart = await measure({ lab, image: apart, hosts: near });
    const healing = await heal(lab, nearest, farthest);
    const healed = await measure({ lab, image: apart, hosts: far, from });
    const figures = {
      hosts: count,
      imageMiB: inMib(shared.bytes),
      ...figuresOf('farShared', farShared),
      ...figuresOf('nearShared', nearShared),
      ...figuresOf('nearApart', nearApart),
      wholeAfterSeconds: round(healing.seconds),
      ...figuresOf('healed', healed),
    };
    const runs = [held, farShared, nearShared, nearApart, ...healing.runs, healed];
    const promises = {
      'every pull whose bytes can be reached succeeds': runs.every(isClean),
      'what a half holds it does not fetch again': nearShared.egress <= EGRESS_NONE_MAX,
      [`an image new to the near half costs ≤ ${EGRESS_MAX}`]: nearApart.egress <= EGRESS_MAX,
      [`whole again within ${WHOLE_SECONDS_MAX} s`]: healing.seconds <= WHOLE_SECONDS_MAX,
      'all then find what the others hold': healed.egress <= EGRESS_NONE_MAX,
    };
    return judge(figures, promises, runs);
  },
};

/**
 * Mends the network. The directory is whole when a far host finds what only a near one holds, and the origin sends
 * nothing; each try needs an image of its own, as after it two halves hold it.
 */
async function heal(lab: Hosts, near: Host, far: Host): Promise<{ seconds: number; runs: Run[] }> {
  const images = [];
  const runs: Run[] = [];
  for (let probe = 0; probe < PROBES; probe++) images.push(await lab.origin.push(`probe-${probe}`, PROBE_BYTES));
  for (const image of images) runs.push(await measure({ lab, image, hosts: [near] }));
  await lab.network.heal();
  const from = now();
  for (const [probe, image] of images.entries()) {
    const run = await measure({ lab, image, hosts: [far], from: { byDigest: true } });
    runs.push(run);
    const seconds = (now() - from) / 1000;
    if (run.egress <= EGRESS_NONE_MAX) return { seconds, runs };
    await sleep(Math.max(0, (probe + 1) * PROBE_EVERY_MS - seconds * 1000));
  }
  return { seconds: Number.POSITIVE_INFINITY, runs };
}
