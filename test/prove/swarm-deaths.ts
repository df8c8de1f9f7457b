import type { HostImage } from '../lab/host-origin.ts';
import { type Host, type Hosts, startHosts, untilJoined } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { homeOf } from '../lab/members.ts';
import { until } from '../lab/process.ts';
import type { Figures, Proof } from './proof.ts';
import {
  figuresOf,
  inMib,
  isClean,
  judge,
  limitSeconds,
  linksFor,
  measure,
  type Run,
  round,
  touchMemory,
  warmUp,
} from './swarm-run.ts';

const LOST_SECONDS_MAX = 3;
const EGRESS_MAX = 1.05;
/** The leases of one host are a larger share of a small image. */
const EGRESS_MAX_SHORT = 1.25;
const HALF_WAY_WAIT_MS = 60_000;

type Role = 'home' | 'leaseHolder';
type Signal = 'SIGKILL' | 'SIGSTOP';

const CASES: readonly (readonly [Role, Signal])[] = [
  ['home', 'SIGKILL'],
  ['leaseHolder', 'SIGSTOP'],
  ['home', 'SIGSTOP'],
  ['leaseHolder', 'SIGKILL'],
];

/** Whoever matters most may die, or say nothing more, and the others hardly notice. */
export const swarmDeaths: Proof = {
  name: 'swarm-deaths',
  title: 'the home of a blob or a holder of a lease is killed or stopped half-way',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [8, 32 * MIB] : [16, 128 * MIB];
    const links = linksFor(count, isShort);
    await using lab = await startHosts({ folder, ...links });
    await warmUp(lab, bytes);
    touchMemory(lab, bytes);
    const clean = await measure({ lab, image: await lab.origin.push('clean', bytes) });
    const runs: Run[] = [clean];
    const egressMost = isShort ? EGRESS_MAX_SHORT : EGRESS_MAX;
    const promises: Record<string, boolean> = { 'the clean run is clean': isClean(clean) };
    const figures: Record<string, number | string> = { ...links, ...figuresOf('clean', clean) };
    for (const [role, signal] of isShort ? CASES.slice(0, 2) : CASES) {
      const name = `${role}${signal}`;
      const image = await lab.origin.push(name.toLowerCase(), bytes);
      const run = await lose(lab, image, role, signal);
      const lostSeconds = run.slowestSeconds - clean.slowestSeconds;
      runs.push(run);
      Object.assign(figures, { [`${name}LostSeconds`]: round(lostSeconds) }, figuresOf(name, run));
      promises[`${name} costs ≤ ${LOST_SECONDS_MAX} s`] = lostSeconds <= LOST_SECONDS_MAX;
      promises[`${name} has an egress ≤ ${egressMost}`] = run.egress <= egressMost;
      promises[`${name} is no other client's error`] = isClean(run);
    }
    const told: Figures = { imageMiB: inMib(bytes), limitSeconds: round(limitSeconds(links, bytes)), ...figures };
    return judge(told, promises, runs);
  },
};

/** Lets all hosts pull, takes one away when the origin has sent half, and puts it back afterwards. */
async function lose(lab: Hosts, image: HostImage, role: Role, signal: Signal): Promise<Run> {
  const deaths = new Map(lab.hosts.map((host) => [host, Promise.withResolvers<void>()]));
  const lost = new Map([...deaths].map(([host, { promise }]) => [host, promise]));
  touchMemory(lab, image.bytes);
  const before = (await lab.origin.sent()).payloadBytes;
  const running = measure({ lab, image, lost });
  // What goes wrong below is what is told; whoever still pulls then ends with the lab.
  running.catch(() => {});
  const isHalfWay = async () => (await lab.origin.sent()).payloadBytes - before >= image.bytes / 2;
  await until('the middle of the pull', HALF_WAY_WAIT_MS, isHalfWay);
  const victim = await victimOf(lab.hosts, image, role);
  process.kill(victim.agent.pid(), signal);
  deaths.get(victim)?.resolve();
  const run = await running;
  await victim.agent.kill();
  await victim.agent.restart();
  await untilJoined([victim]);
  return run;
}

/** The host that plays a part for the largest layer. */
async function victimOf(hosts: readonly Host[], { layers: [layer] }: HostImage, role: Role): Promise<Host> {
  if (!layer) throw new Error('an image without layers');
  const home = await homeOf(hosts, layer);
  if (role === 'home') {
    if (!home) throw new Error('no host knows the home of the layer');
    return home;
  }
  // Whoever got most from the origin until now holds leases.
  const others = hosts.filter((host) => host !== home);
  // Who has had nothing from the origin has no such figure.
  const fetchedBy = ({ agent }: Host) => agent.metric('drayage_fetched_bytes_total', { from: 'origin' }).catch(() => 0);
  const fetched = await Promise.all(others.map(fetchedBy));
  const most = others[fetched.indexOf(Math.max(...fetched))];
  if (!most) throw new Error('no other host');
  return most;
}
