/** Measures the agent beside nginx in the same run: `npm run bench -- [hit|fill|link]`. */
import { join } from 'node:path';
import { fill } from './bench/fill.ts';
import { hit } from './bench/hit.ts';
import { link } from './bench/link.ts';
import { enterNamespace, labFolder } from './lab/namespace.ts';
import { ALL_PACKAGES, whatIsMissing } from './lab/programs.ts';
import { conclude, type Outcome, printOutcome } from './lab/report.ts';
import { onStage } from './lab/stage.ts';

const BENCHES = {
  hit: { title: 'a sealed GiB to curl, against nginx sendfile', run: hit },
  fill: { title: 'a cold GiB from a local origin, against nginx proxy_cache', run: fill },
  link: { title: 'two GiB in pieces over one link between two members', run: link },
};

enterNamespace(ALL_PACKAGES);
process.exitCode = await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<number> {
  const missing = whatIsMissing(['nginx', 'curl']);
  const outcomes: Outcome[] = [];
  for (const [name, { title, run }] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const outcome = missing === undefined ? await outcomeOf(name, run) : unable(name, missing);
    printOutcome(outcome, title);
    if (outcome.figures) console.log(JSON.stringify({ bench: name, ...outcome.figures }));
    outcomes.push(outcome);
  }
  return conclude('bench', outcomes);
}

async function outcomeOf(name: string, run: (folder: string) => Promise<Record<string, number>>): Promise<Outcome> {
  const folder = join(labFolder(), name);
  const from = performance.now();
  const seconds = () => (performance.now() - from) / 1000;
  try {
    const figures = await onStage(folder, () => run(folder));
    return { name, result: 'ok', seconds: seconds(), figures };
  } catch (error) {
    return { name, result: 'FAIL', seconds: seconds(), note: String(error) };
  }
}

function unable(name: string, missing: string): Outcome {
  return { name, result: process.env['CI'] ? 'FAIL' : 'skip', seconds: 0, note: missing };
}
