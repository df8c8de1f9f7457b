/** Breaks things on purpose and prints what came of it: `npm run prove -- [--short] [names]`. */
import { join } from 'node:path';
import { enterNamespace, labFolder } from './lab/namespace.ts';
import { ALL_PACKAGES, whatIsMissing } from './lab/programs.ts';
import { conclude, type Outcome, printOutcome } from './lab/report.ts';
import { logsBelow, onStage } from './lab/stage.ts';
import { access } from './prove/access.ts';
import { browser } from './prove/browser.ts';
import { container } from './prove/container.ts';
import { directory } from './prove/directory.ts';
import { directoryLarge } from './prove/directory-large.ts';
import { diskFull } from './prove/disk-full.ts';
import { doors } from './prove/doors.ts';
import { fuzz } from './prove/fuzz.ts';
import { herd } from './prove/herd.ts';
import { kill9 } from './prove/kill9.ts';
import type { Figures, Proof } from './prove/proof.ts';
import { push } from './prove/push.ts';
import { setup } from './prove/setup.ts';
import { spellings } from './prove/spellings.ts';
import { swarmJitter, swarmWave } from './prove/swarm-arrivals.ts';
import { swarmBadMembers } from './prove/swarm-bad-members.ts';
import { swarmDeaths } from './prove/swarm-deaths.ts';
import { swarmHerd, swarmHerd32, swarmHerdFast, swarmHerdFew } from './prove/swarm-herd.ts';
import { swarmOriginStopped } from './prove/swarm-origin-stopped.ts';
import { swarmPair, swarmPairs } from './prove/swarm-pair.ts';
import { swarmPartition } from './prove/swarm-partition.ts';
import { swarmStrangers } from './prove/swarm-strangers.ts';
import { syscalls } from './prove/syscalls.ts';

/** What runs when no name is given, and for every change in its short form. */
const USUAL: readonly Proof[] = [
  access,
  kill9,
  syscalls,
  diskFull,
  herd,
  directory,
  fuzz,
  container,
  setup,
  push,
  doors,
  spellings,
  browser,
  swarmHerd,
  swarmJitter,
  swarmWave,
  swarmStrangers,
];
/** What runs only by its name: it takes too long, or the agent does not hold it yet. */
const BY_NAME: readonly Proof[] = [
  directoryLarge,
  swarmHerd32,
  swarmHerdFast,
  swarmHerdFew,
  swarmOriginStopped,
  swarmPair,
  swarmPairs,
  swarmDeaths,
  swarmBadMembers,
  swarmPartition,
];
const PROOFS: readonly Proof[] = [...USUAL, ...BY_NAME];

enterNamespace(ALL_PACKAGES);
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const short = args.includes('--short');
  const names = args.filter((arg) => arg !== '--short');
  const unknown = names.filter((name) => !PROOFS.some((proof) => proof.name === name));
  if (unknown.length > 0) {
    console.error(`no such proof: ${unknown.join(', ')}. There are: ${PROOFS.map(({ name }) => name).join(' ')}`);
    return 2;
  }
  const outcomes: Outcome[] = [];
  const chosen = names.length === 0 ? USUAL : PROOFS.filter(({ name }) => names.includes(name));
  for (const proof of chosen) {
    const outcome = await outcomeOf(proof, short);
    printOutcome(outcome, proof.title);
    if (outcome.figures) console.log(JSON.stringify({ proof: proof.name, ...outcome.figures }));
    outcomes.push(outcome);
  }
  return conclude('prove', outcomes);
}

async function outcomeOf(proof: Proof, short: boolean): Promise<Outcome> {
  const { name } = proof;
  const missing = whatIsMissing(proof.needs);
  if (missing !== undefined) return { name, result: process.env['CI'] ? 'FAIL' : 'skip', seconds: 0, note: missing };
  const folder = join(labFolder(), name);
  const from = performance.now();
  let note: string | undefined;
  const attempt = async (): Promise<Figures> => {
    try {
      return await proof.run(folder, short);
    } catch (error) {
      note = `${error instanceof Error ? error.stack : error}\n${logsBelow(folder)}`;
      throw error;
    }
  };
  const seconds = () => (performance.now() - from) / 1000;
  try {
    const figures = await onStage(folder, attempt);
    return { name, result: 'ok', seconds: seconds(), figures };
  } catch (error) {
    return { name, result: 'FAIL', seconds: seconds(), note: note ?? String(error) };
  }
}
