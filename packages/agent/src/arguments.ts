import { didYouMean } from './closest.ts';

/** An option of a command, as the command line knows it. */
export interface Flag {
  /** Without the dashes. */
  readonly flag: string;
  /** What its value is called in help; none for a switch. */
  readonly value?: string;
  readonly help: string;
}

/** A command line taken apart; what was wrong with it is in `faults`. */
export interface Arguments {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
  readonly faults: readonly string[];
}

/** Takes `--flag value`, `--flag=value`, switches and positionals apart; `--` ends the flags. */
export function readArguments(words: readonly string[], flags: readonly Flag[]): Arguments {
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const faults: string[] = [];
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--') {
      positionals.push(...rest.splice(0));
    } else if (word === '-h') {
      values.set('help', ['true']);
    } else if (!word.startsWith('-') || word === '-') {
      positionals.push(word);
    } else {
      const { name, value, fault } = readFlag(word, rest, flags);
      if (fault !== undefined) faults.push(`--${name.slice(0, 64)}: ${fault}`);
      else values.set(name, [...(values.get(name) ?? []), value]);
    }
  }
  return { values, positionals, faults };
}

interface ReadFlag {
  readonly name: string;
  readonly value: string;
  readonly fault?: string;
}

function readFlag(word: string, rest: string[], flags: readonly Flag[]): ReadFlag {
  const [, name = '', inline] = /^-{1,2}([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const found = word.startsWith('--') ? flags.find(({ flag }) => flag === name) : undefined;
  if (!found) {
    const known = flags.map(({ flag }) => `--${flag}`);
    const near = didYouMean(`--${name}`, known);
    return { name, value: '', fault: `there is no such option${near}` };
  }
  if (found.value === undefined) {
    return inline === undefined ? { name, value: 'true' } : { name, value: '', fault: 'takes no value' };
  }
  // A word that looks like an option is never taken for a value: the value was forgotten.
  const value = inline ?? (rest[0]?.startsWith('--') ? undefined : rest.shift());
  return value === undefined ? { name, value: '', fault: `${found.value} is missing` } : { name, value };
}
