import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { othersAlive, run, tail, until } from './process.ts';

const GONE_WAIT_MS = 10_000;

/** Runs one piece of work in a folder of its own, and throws when it leaves a process behind. */
export async function onStage<T>(folder: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(folder, { recursive: true });
  const known = new Set(othersAlive(new Set()).map(({ pid }) => pid));
  try {
    const result = await work();
    await until('every process of the scenario to end', GONE_WAIT_MS, () => othersAlive(known).length === 0);
    return result;
  } finally {
    for (const { pid } of othersAlive(known)) process.kill(pid, 'SIGKILL');
    await unmountBelow(folder);
    if (process.env['KEEP'] === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The end of every log below a folder, for a person who must find out what went wrong. */
export function logsBelow(folder: string): string {
  const logs = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const inner = join(folder, entry.name);
      return readdirSync(inner).map((name) => join(inner, name));
    })
    .filter((path) => path.endsWith('.log'));
  return logs.map((path) => `--- ${path}\n${tail(path)}`).join('\n');
}

async function unmountBelow(folder: string): Promise<void> {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.reverse()) await run('umount', ['-l', point]);
}
