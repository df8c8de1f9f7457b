import { setTimeout as sleep } from 'node:timers/promises';
import { type Hosts, startHosts } from '../lab/hosts.ts';
import { MIB } from '../lab/images.ts';
import { membersOf } from '../lab/members.ts';
import { type Strangers, strangers } from '../lab/strangers.ts';
import { makeSwarmKey, swarmOptions } from '../lab/swarm-options.ts';
import type { Proof } from './proof.ts';
import { figuresOf, inMib, isClean, judge, linksFor, measure, round, warmUp } from './swarm-run.ts';

const ATTEMPTS_PER_SECOND = 100;
/** An attack may cost so much of the time of a pull. */
const SLOWEST_OVER_CLEAN_MAX = 1.25;

/** Without the key nobody gets in, and whoever tries all the time disturbs nobody. */
export const swarmStrangers: Proof = {
  name: 'swarm-strangers',
  title: 'strangers without the key, with another key or with a stolen identity try a hundred times a second',
  needs: ['docker-registry', 'ip'],
  run: async (folder, isShort) => {
    const [count, bytes] = isShort ? [6, 32 * MIB] : [16, 128 * MIB];
    await using lab = await startHosts({ folder, ...linksFor(count, isShort) });
    await warmUp(lab);
    const clean = await measure({ lab, image: await lab.origin.push('clean', bytes) });
    const image = await lab.origin.push('besieged', bytes);
    const foreignMembers = await startForeigner(lab);
    await using crowd = await strangers(lab.hosts);
    const siege = besiege(lab, crowd);
    const run = await measure({ lab, image });
    const tally = await siege.end();
    const foreign = await foreignMembers();
    const overClean = run.slowestSeconds / clean.slowestSeconds;
    const figures = {
      hosts: count,
      imageMiB: inMib(image.bytes),
      ...figuresOf('clean', clean),
      ...figuresOf('besieged', run),
      besiegedOverClean: round(overClean),
      attempts: tally.attempts,
      attemptsPerSecond: Math.round(tally.attempts / tally.seconds),
      gotIn: tally.gotIn.join(', ') || 'none',
      contentBytes: tally.bytes,
      foreignAgentMembers: foreign,
    };
    const promises = {
      'nobody gets in': tally.gotIn.length === 0 && foreign === 0,
      'not a byte is told': tally.bytes === 0,
      'every pull succeeds': isClean(clean) && isClean(run),
      [`slowest ≤ ${SLOWEST_OVER_CLEAN_MAX} × clean`]: overClean <= SLOWEST_OVER_CLEAN_MAX,
    };
    return judge(figures, promises, [clean, run]);
  },
};

/** A whole agent with a key of its own that was told to join; returns how many members it has come to know. */
async function startForeigner(lab: Hosts): Promise<() => Promise<number>> {
  const host = await lab.add();
  const keyFile = await makeSwarmKey(lab.folder, 'foreign.key');
  const join = lab.hosts.slice(0, 2).map(({ address }) => address);
  await host.start({ swarm: swarmOptions({ address: host.address, join, keyFile }) });
  return async () => (await membersOf(host)).length;
}

interface Tally {
  readonly attempts: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly gotIn: readonly string[];
}

/** Tries one way after the other at one host after the other, until it is told to end. */
function besiege({ hosts }: Hosts, { attempts }: Strangers): { end(): Promise<Tally> } {
  const from = performance.now();
  const gotIn = new Set<string>();
  const running = new Set<Promise<void>>();
  let made = 0;
  let bytes = 0;
  let isOver = false;
  const tries = async () => {
    for (; !isOver; made++) {
      const attempt = attempts[made % attempts.length];
      const host = hosts[made % hosts.length];
      if (!attempt || !host) return;
      const attempted = attempt.run(host).then((result) => {
        bytes += result.bytes;
        if (result.isIn) gotIn.add(attempt.name);
      });
      running.add(attempted);
      void attempted.finally(() => running.delete(attempted));
      const due = from + (made + 1) * (1000 / ATTEMPTS_PER_SECOND);
      await sleep(Math.max(0, due - performance.now()));
    }
  };
  const trying = tries();
  return {
    end: async () => {
      isOver = true;
      await trying;
      const seconds = (performance.now() - from) / 1000;
      await Promise.all(running);
      return { attempts: made, seconds, bytes, gotIn: [...gotIn] };
    },
  };
}
