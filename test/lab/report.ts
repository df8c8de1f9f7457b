import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Outcome {
  readonly name: string;
  readonly result: 'ok' | 'FAIL' | 'skip';
  readonly seconds: number;
  readonly note?: string | undefined;
  readonly figures?: Readonly<Record<string, unknown>> | undefined;
}

/** Prints one line for an outcome, and what went wrong below it. */
export function printOutcome({ name, result, seconds, note }: Outcome, title: string): void {
  console.log(`${result.padEnd(4)} ${name.padEnd(14)} ${seconds.toFixed(1).padStart(6)} s  ${title}`);
  if (note !== undefined) console.log(note.replaceAll(/^/gm, '       '));
}

/** Prints the counts as the last line, keeps a report where one is asked for, and returns the exit code. */
export function conclude(suite: string, outcomes: readonly Outcome[]): number {
  const count = (result: Outcome['result']) => outcomes.filter((outcome) => outcome.result === result).length;
  const [passed, failed, skipped] = [count('ok'), count('FAIL'), count('skip')];
  const folder = process.env['REPORTS'];
  if (folder !== undefined) {
    mkdirSync(folder, { recursive: true });
    const report = { suite, passed, failed, skipped, outcomes };
    writeFileSync(join(folder, `${suite}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
  }
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed > 0 ? 1 : 0;
}
