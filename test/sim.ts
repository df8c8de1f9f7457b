/** Simulates a swarm in virtual time: `npm run sim -- --hosts 1000 --json`, `--table` for the acceptance table, `--seeds 2000` for random faults. */
import { readOptions } from './sim/options.ts';
import { randomScenario } from './sim/random-scenario.ts';
import type { Scenario } from './sim/scenario.ts';
import { type Result, simulate } from './sim/simulate.ts';
import { CASES, formatRow, HEADING, hasPassed } from './sim/table.ts';

process.exitCode = main(process.argv.slice(2));

function main(args: readonly string[]): number {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`sim: ${options}`);
    return 2;
  }
  if (options.isTable) return printTable();
  if (options.seeds !== undefined) return runSeeds(options.scenario.seed, options.seeds);
  const result = simulate(options.scenario);
  if (options.isJson) console.log(JSON.stringify(result));
  else printResult(options.scenario, result);
  return result.violations === 0 ? 0 : 1;
}

function printTable(): number {
  console.log(HEADING);
  let failures = 0;
  for (const one of CASES) {
    const result = simulate(one.scenario);
    console.log(formatRow(one, result));
    for (const violated of result.violated) console.log(`  ${violated}`);
    if (!hasPassed(one, result)) failures++;
  }
  return failures === 0 ? 0 : 1;
}

/** Many small scenarios with random faults: what must always hold, holds. */
function runSeeds(first: number, count: number): number {
  let failures = 0;
  let worstEgress = 0;
  for (let seed = first; seed < first + count; seed++) {
    const result = simulate(randomScenario(seed));
    worstEgress = Math.max(worstEgress, result.egress);
    if (result.violations === 0) continue;
    failures++;
    console.log(`seed ${seed}: ${result.violated.join('; ')}`);
  }
  console.log(`${count} seeds, ${failures} with violations, egress at most ${worstEgress.toFixed(2)}`);
  return failures === 0 ? 0 : 1;
}

function printResult({ hosts, size }: Scenario, result: Result): void {
  const over = (ratio: number) => `${ratio.toFixed(3)}×`;
  console.log(
    `${hosts} hosts, ${(size / 2 ** 20).toFixed(1)} MiB in ${result.pieces} pieces: slowest ${result.slowestSeconds.toFixed(2)} s, ` +
      `${over(result.slowestOverLimit)} the limit of ${result.limitSeconds.toFixed(2)} s (99 % within ${over(result.p99OverLimit)}); ` +
      `egress ${result.egress.toFixed(4)}, wasted ${result.wasted.toFixed(3)}; ${result.violations} violations; ` +
      `${(result.events / 1e6).toFixed(1)} M events in ${result.wallSeconds.toFixed(1)} s`,
  );
  for (const violated of result.violated) console.log(`  ${violated}`);
}
