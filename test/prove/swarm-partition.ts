import { startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { now } from '../lab/pull-image.ts';
import type { Proof } from './proof.ts';
import { figuresOf, inMib, isClean, judge, measure, round } from './swarm-run.ts';

const RATE_MBIT = 100;
const WHOLE_SECONDS_MAX = 30;
const EGRESS_MAX = 1.02;

/** A network that falls in two leaves two swarms, and one again when it is mended. */
export const swarmPartition: Proof = {
  name: 'swarm-partition',
  title: 'half of the hosts are cut off from the others and the origin, and come back',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [8, 8 * MIB] : [16, 32 * MIB];
    await using lab = await startHosts({ folder, count, hostMbit: RATE_MBIT, originMbit: RATE_MBIT });
    const near = lab.hosts.slice(0, count / 2);
    const far = lab.hosts.slice(count / 2);
    const [nearest, ...nearOthers] = near;
    const [farthest, ...farOthers] = far;
    if (!nearest || !farthest) throw new Error('no hosts');
    const shared = await lab.origin.push('shared', bytes);
    const apart = await lab.origin.push('apart', bytes);
    const held = await measure({ lab, image: shared, hosts: [nearest, farthest] });
    await lab.network.split(far.map(({ port }) => port));
    const byDigest = { byDigest: true };
    // The far half has one holder and no origin; the near half has the origin, and an image the far one cannot know of.
    const [farShared, nearApart] = await Promise.all([
      measure({ lab, image: shared, hosts: farOthers, from: byDigest }),
      measure({ lab, image: apart, hosts: near }),
    ]);
    const nearShared = await measure({ lab, image: shared, hosts: nearOthers, from: byDigest });
    await lab.network.heal();
    const healedAt = now();
    const egress: number[] = [];
    const runs = [held, farShared, nearApart, nearShared];
    // The directory is whole when a far host finds at near ones what only they have: the origin then sends nothing.
    for (const host of far) {
      const run = await measure({ lab, image: apart, hosts: [host], from: byDigest });
      runs.push(run);
      egress.push(run.egress);
      if (run.egress < EGRESS_MAX - 1) break;
    }
    const wholeSeconds = (now() - healedAt) / 1000;
    const rest = await measure({ lab, image: apart, hosts: far, from: byDigest });
    const figures = {
      hosts: count,
      imageMiB: inMib(shared.bytes),
      ...figuresOf('farShared', farShared),
      ...figuresOf('nearApart', nearApart),
      ...figuresOf('nearShared', nearShared),
      wholeAfterSeconds: round(wholeSeconds),
      ...figuresOf('healed', rest),
    };
    const promises = {
      'every pull whose bytes can be reached succeeds': [...runs, rest].every(isClean),
      [`the near half costs ≤ ${EGRESS_MAX} while apart`]: nearApart.egress <= EGRESS_MAX && nearShared.egress < 0.02,
      [`whole again within ${WHOLE_SECONDS_MAX} s`]: wholeSeconds <= WHOLE_SECONDS_MAX && (egress.at(-1) ?? 1) < 0.02,
      'all others then find what they lack': rest.egress < 0.02,
    };
    return judge(figures, promises, [...runs, rest]);
  },
};
