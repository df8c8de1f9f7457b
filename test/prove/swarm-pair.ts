import { processorSeconds } from '../bench/nginx.ts';
import { peakResidentBytesOf } from '../lab/agent.ts';
import type { HostImage } from '../lab/host-origin.ts';
import { type Host, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { watchProcessor } from '../lab/processor.ts';
import { now } from '../lab/pull-image.ts';
import type { Proof } from './proof.ts';
import { inMib, isClean, judge, measure, round, touchMemory, warmUp } from './swarm-run.ts';

const MEGABYTES_PER_SECOND_MIN = 350;
const PROCESSOR_SECONDS_PER_GIB_MAX = 5;
const RESIDENT_BYTES_MAX = 200 * MIB;
const GIB = 1024 * MIB;
const PROBLEMS_SHOWN_MAX = 8;

/** From one member to another and on to its client, as fast as the machine goes. */
export const swarmPair: Proof = {
  name: 'swarm-pair',
  title: 'one member has two gibibytes, another pulls them over an unshaped link',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    await using lab = await startHosts({ folder, hosts: 2 });
    const image = await lab.origin.pushOne('pair', isShort ? GIB / 2 : 2 * GIB);
    const [holder, puller] = lab.hosts;
    if (!holder || !puller) throw new Error('no pair');
    touchMemory(lab, image.bytes);
    const filled = await measure({ lab, image, hosts: [holder] });
    touchMemory(lab, image.bytes);
    const pids = [holder.agent.pid(), puller.agent.pid()];
    const before = pids.map(processorSeconds);
    const run = await measure({ lab, image, hosts: [puller] });
    const used = pids.map((pid, at) => (processorSeconds(pid) - (before[at] ?? 0)) / (image.bytes / GIB));
    const peaks = pids.map(peakResidentBytesOf);
    const speed = image.bytes / 1e6 / run.slowestSeconds;
    const [holderSeconds = 0, pullerSeconds = 0] = used;
    const figures = {
      imageMiB: inMib(image.bytes),
      originToClientMBPerSecond: Math.round(image.bytes / 1e6 / filled.slowestSeconds),
      memberToClientMBPerSecond: Math.round(speed),
      holderCpuSecondsPerGiB: round(holderSeconds),
      pullerCpuSecondsPerGiB: round(pullerSeconds),
      holderPeakMiB: inMib(peaks[0] ?? 0),
      pullerPeakMiB: inMib(peaks[1] ?? 0),
      egress: round(run.egress, 3),
    };
    const promises = {
      'both pulls succeed': isClean(filled) && isClean(run),
      // A short run is over before the machine is warm, and what else runs beside it counts for more.
      [`≥ ${MEGABYTES_PER_SECOND_MIN} MB/s`]: isShort || speed >= MEGABYTES_PER_SECOND_MIN,
      [`≤ ${PROCESSOR_SECONDS_PER_GIB_MAX} CPU-s per GiB`]:
        isShort || holderSeconds + pullerSeconds <= PROCESSOR_SECONDS_PER_GIB_MAX,
      [`≤ ${RESIDENT_BYTES_MAX / MIB} MiB resident`]: Math.max(...peaks) <= RESIDENT_BYTES_MAX,
    };
    return judge(figures, promises, [filled, run]);
  },
};

/**
 * As many hosts as in the large herd, and as many bytes for each, from one holder apiece: what sixteen agents take of the
 * processor without a herd.
 */
export const swarmPairs: Proof = {
  name: 'swarm-pairs',
  title: 'eight pairs (short: two) at once, each host pulls what the other holds',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const links = { hosts: isShort ? 4 : 16, hostMbit: 100, originMbit: 1000 };
    const bytes = (isShort ? 32 : 128) * MIB;
    await using lab = await startHosts({ folder, ...links });
    await warmUp(lab);
    const images = new Map<Host, HostImage>();
    for (const host of lab.hosts) images.set(host, await lab.origin.push(host.name, bytes));
    const pullAll = (holderOf: (at: number) => number) =>
      Promise.all(
        lab.hosts.map(async (host, at) => {
          const holder = lab.hosts[holderOf(at)];
          const image = holder && images.get(holder);
          if (!image) throw new Error(`nothing for ${host.name}`);
          return await host.pull(image, {});
        }),
      );
    const filled = await pullAll((at) => at);
    const pids = lab.hosts.map(({ agent }) => agent.pid());
    const before = pids.map(processorSeconds);
    const { payloadBytes } = await lab.origin.sent();
    const idle = watchProcessor();
    const from = now();
    const reports = await pullAll((at) => at ^ 1);
    const used = pids.reduce((sum, pid, at) => sum + processorSeconds(pid) - (before[at] ?? 0), 0);
    const seconds = (Math.max(...reports.map(({ endedAt }) => endedAt)) - from) / 1000;
    const figures = {
      ...links,
      imageMiB: inMib(bytes),
      slowestSeconds: round(seconds),
      slowestOverLink: round(seconds / ((bytes * 8) / 1e6 / links.hostMbit)),
      agentCpuSecondsPerGiB: round(used / ((bytes * links.hosts) / GIB), 1),
      idleShare: round(idle()),
      originMiB: inMib((await lab.origin.sent()).payloadBytes - payloadBytes),
      problems:
        [...filled, ...reports]
          .flatMap(({ problems }) => problems)
          .slice(0, PROBLEMS_SHOWN_MAX)
          .join('; ') || 'none',
    };
    const promises = {
      'every pull succeeds': [...filled, ...reports].every(({ problems, corrupt }) => problems.length + corrupt === 0),
      'the origin sends no layer': figures.originMiB < 1,
    };
    return judge(figures, promises, []);
  },
};
