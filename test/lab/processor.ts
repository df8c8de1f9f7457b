import { readFileSync } from 'node:fs';

/** Starts to watch the machine; ends with the share of processor time that was idle meanwhile. */
export function watchProcessor(): () => number {
  const before = ticks();
  return () => {
    const after = ticks();
    return (after.idle - before.idle) / Math.max(1, after.all - before.all);
  };
}

function ticks(): { idle: number; all: number } {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const fields = first.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, waiting = 0] = fields;
  return { idle: idle + waiting, all: fields.reduce((sum, each) => sum + each, 0) };
}
