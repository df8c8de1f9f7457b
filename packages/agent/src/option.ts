import { parseRate } from './units.ts';

/** What a default may depend on. */
export interface Defaults {
  readonly home: string;
  readonly dataHome: string | undefined;
  readonly isRoot: boolean;
}

/** One option: everything that is known of it stands in its row. */
export interface Option<T> {
  readonly flag: string;
  readonly env: string | undefined;
  readonly value: string;
  /** The default, for people. */
  readonly fallback: string;
  readonly help: string;
  /** It names a file or a folder; in the configuration file, one beside that file. */
  readonly isPath?: true;
  readonly initial: (defaults: Defaults) => T;
  /** Reads what was given, in order; throws with the reason when it is wrong. */
  readonly parse: (texts: readonly string[]) => T;
}

const RATE_MIN = 64 * 1024;

/** A parser for an option of one value: the last one given counts. */
export function one<T>(parse: (text: string) => T): (texts: readonly string[]) => T {
  return (texts) => parse(texts.at(-1) ?? '');
}

/** A parser for an option that may be repeated, or hold several values with commas between them. */
export function many<T>(parse: (text: string) => T, countMax: number): (texts: readonly string[]) => readonly T[] {
  return (texts) => {
    const items = texts.flatMap((text) => text.split(',')).map((text) => text.trim());
    if (items.length > countMax) throw new Error(`at most ${countMax} may be given`);
    return items.map(parse);
  };
}

/** A path as it was given. Throws on what can be none. */
export function path(text: string): string {
  if (text === '' || text.includes('\0')) throw new Error('not a path');
  return text;
}

/** A limit in bytes per second. Slower than the least, answers would look stalled to whoever waits for them. */
export function limit(text: string): number {
  const rate = parseRate(text);
  if (rate < RATE_MIN) throw new Error('must be at least 64KiB/s');
  return rate;
}
