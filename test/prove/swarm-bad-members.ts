import { type Runtimes, startRuntimes } from '../lab/host-runtimes.ts';
import { type Host, type Hosts, startHosts, untilJoined } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { identityOf, membersOf } from '../lab/members.ts';
import { until } from '../lab/process.ts';
import { LIES, makeRogue, type Vice, viceOf } from '../lab/rogue.ts';
import { isSealed, tamper } from '../lab/tamper.ts';
import type { Proof } from './proof.ts';
import {
  figuresOf,
  inMib,
  isClean,
  judge,
  linksFor,
  measure,
  type Run,
  round,
  touchMemory,
  warmUp,
} from './swarm-run.ts';

const SLOWEST_OVER_CLEAN_MAX = 1.5;
const RUNTIMES = 3;
/** What is a lie on its face, and a lie without which the blob could not have been wrong. */
const PROVEN: ReadonlySet<string> = new Set(['flip', 'forge', 'other', 'tampered']);
const SEAL_WAIT_MS = 20_000;
/** Hosts beside those that are measured. As many each time: all share the processor. */
const OTHERS = 4;

const CASES: readonly (readonly Vice[])[] = [
  ['flip'],
  ['forge'],
  ['forge', 'forge'],
  ['forge', 'other'],
  ['forge', 'forge', 'forge', 'forge'],
  ['stall', 'dribble'],
  ['flip', 'forge', 'truncate', 'claim'],
  ['vanish', 'stall', 'dribble', 'other'],
];
const SHORT_CASES: readonly (readonly Vice[])[] = [
  ['flip', 'forge'],
  ['forge', 'forge'],
  ['stall', 'dribble', 'claim', 'vanish'],
];

/** Whatever some members do to the others, nobody gets a wrong byte or waits much longer, and liars are found out. */
export const swarmBadMembers: Proof = {
  name: 'swarm-bad-members',
  title: 'one, two and four members lie, stall, dribble or vanish; a disk is tampered with',
  needs: ['docker-registry', 'dockerd', 'docker', 'containerd', 'ctr', 'podman', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [8, 32 * MIB] : [12, 64 * MIB];
    await using lab = await startHosts({ folder, ...linksFor(count, isShort) });
    await using runtimes = await startRuntimes(lab.hosts.slice(0, RUNTIMES));
    const rogue = await makeRogue(lab.folder);
    await warmUp(lab, bytes);
    const { run: clean } = await amongVices({ lab, runtimes, rogue, bytes }, []);
    const runs: Run[] = [clean];
    const figures: Record<string, number | string> = {
      honestHosts: count,
      otherHosts: OTHERS,
      imageMiB: inMib(bytes),
      ...figuresOf('clean', clean),
    };
    const promises: Record<string, boolean> = { 'the clean run is clean': isClean(clean) };
    const note = (name: string, { run, missed, lies, defamed }: Verdict) => {
      runs.push(run);
      const overClean = run.slowestSeconds / clean.slowestSeconds;
      Object.assign(figures, figuresOf(name, run), { [`${name}OverClean`]: round(overClean) });
      Object.assign(figures, { [`${name}Liars`]: lies, [`${name}LiarsMissed`]: missed.join(' ') || 'none' });
      promises[`${name}: every pull succeeds`] = isClean(run);
      promises[`${name}: slowest ≤ ${SLOWEST_OVER_CLEAN_MAX} × clean`] = overClean <= SLOWEST_OVER_CLEAN_MAX;
      promises[`${name}: every proven liar is quarantined`] = !missed.some((vice) => PROVEN.has(vice));
      promises[`${name}: no honest member is taken for a liar`] = defamed === 0;
    };
    for (const vices of isShort ? SHORT_CASES : CASES) {
      note(vices.join('-'), await amongVices({ lab, runtimes, rogue, bytes }, vices));
    }
    for (const isHidden of [false, true]) {
      note(isHidden ? 'tamperedAll' : 'tamperedBytes', await amongTampered({ lab, runtimes, bytes }, isHidden));
    }
    return judge(figures, promises, runs);
  },
};

interface Stage {
  readonly lab: Hosts;
  readonly runtimes: Runtimes;
  readonly bytes: number;
}

interface Verdict {
  readonly run: Run;
  /** Members that gave others wrong bytes. */
  readonly lies: number;
  /** Those of them that no host has quarantined as liars. */
  readonly missed: readonly string[];
  /** Honest members that somebody has quarantined as liars. */
  readonly defamed: number;
}

/**
 * A cold herd, with four others among it that are bad members as far as there are vices. They are new hosts each time:
 * what others hold against them goes with them.
 */
async function amongVices(
  { lab, runtimes, rogue, bytes }: Stage & { rogue: string },
  vices: readonly Vice[],
): Promise<Verdict> {
  const image = await lab.origin.push(`among-${vices.join('-') || 'honest'}`, bytes);
  const others: { host: Host; vice: Vice | undefined }[] = [];
  for (const vice of Array.from({ length: OTHERS }, (_, at) => vices[at])) {
    const host = await lab.add();
    await host.start(vice && { command: rogue, env: viceOf(vice) });
    others.push({ host, vice });
  }
  await untilJoined(others.map(({ host }) => host));
  const liars = others.filter(({ vice }) => vice && LIES.has(vice));
  const names = await Promise.all(liars.map(({ host }) => identityOf(host)));
  touchMemory(lab, bytes);
  const theirs = others.map(({ host }) => host.pull(image).catch(() => undefined));
  const run = await measure({ lab, image, runtimes: runtimes.clients });
  const lied = new Map<string, string>();
  for (const [at, { host, vice }] of liars.entries()) {
    const name = names[at];
    const served = await host.agent.metric('drayage_served_bytes_total', { to: 'peer' }).catch(() => 0);
    if (name !== undefined && vice && served > 0) lied.set(name, vice);
  }
  const verdict = { run, ...(await judged(lab.hosts, lied)) };
  for (const { host } of others) await host.agent.kill();
  await Promise.all(theirs);
  return verdict;
}

/** One member holds the image on a disk that lies. */
async function amongTampered({ lab, runtimes, bytes }: Stage, isHidden: boolean): Promise<Verdict> {
  const image = await lab.origin.push(isHidden ? 'tampered-all' : 'tampered-bytes', bytes);
  const host = await lab.add();
  await host.start();
  await untilJoined([host]);
  const first = await host.pull(image);
  if (first.problems.length > 0) throw new Error(`the image cannot even be pulled: ${first.problems[0]}`);
  const { data } = host.agent;
  // A client has its last byte before the blob is on the disk for good.
  await until('every layer to be sealed', SEAL_WAIT_MS, () => image.layers.every((layer) => isSealed(data, layer)));
  await host.agent.kill();
  for (const layer of image.layers) tamper(data, layer, isHidden);
  await host.agent.restart();
  await untilJoined([host]);
  const name = await identityOf(host);
  touchMemory(lab, bytes);
  const run = await measure({ lab, image, runtimes: runtimes.clients });
  // What the agent itself can notice it does not hand on.
  const verdict = {
    run,
    ...(await judged(lab.hosts, new Map(isHidden && name !== undefined ? [[name, 'tampered']] : []))),
  };
  await host.agent.kill();
  return verdict;
}

async function judged(honest: readonly Host[], liars: ReadonlyMap<string, string>): Promise<Omit<Verdict, 'run'>> {
  const names = await Promise.all(honest.map(identityOf));
  const told = (await Promise.all(honest.map(membersOf))).flat();
  const accused = new Set(told.filter(({ quarantine }) => quarantine?.why === 'lie').map(({ member }) => member));
  return {
    lies: liars.size,
    missed: [...liars].filter(([liar]) => !accused.has(liar)).map(([, name]) => name),
    defamed: names.filter((name) => name !== undefined && accused.has(name)).length,
  };
}
