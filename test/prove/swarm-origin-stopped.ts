import { startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import type { Proof } from './proof.ts';
import { figuresOf, inMib, isClean, judge, linksFor, measure } from './swarm-run.ts';

/** What one member holds, all can have, with the origin gone. */
export const swarmOriginStopped: Proof = {
  name: 'swarm-origin-stopped',
  title: 'the origin stops once one host has the image; all others pull it by digest, and one that joins later',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [6, 16 * MIB] : [16, 64 * MIB];
    await using lab = await startHosts({ folder, ...linksFor(count, isShort) });
    const image = await lab.origin.push('stopped', bytes);
    const [one, ...others] = lab.hosts;
    if (!one) throw new Error('no hosts');
    const from = { byDigest: true };
    const first = await measure({ lab, image, hosts: [one], from });
    await lab.origin.stop();
    const rest = await measure({ lab, image, hosts: others, from });
    const late = await lab.add();
    await late.start();
    const last = await measure({ lab, image, hosts: [late], from });
    const figures = {
      hosts: count,
      imageMiB: inMib(image.bytes),
      ...figuresOf('first', first),
      ...figuresOf('others', rest),
      ...figuresOf('late', last),
    };
    const promises = {
      'the first pull succeeds': isClean(first),
      'the others pull without the origin': isClean(rest),
      'so does one that joins later': isClean(last),
    };
    return judge(figures, promises, [first, rest, last]);
  },
};
