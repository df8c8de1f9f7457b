import type { Arguments, Flag } from './arguments.ts';

/** What a command may touch of the process it runs in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly isRoot: boolean;
  readonly out: Output;
  readonly err: Output;
}

/** A stream of text, perhaps to a person. */
export interface Output {
  readonly isTerminal: boolean;
  readonly isColoured: boolean;
  readonly columns: () => number;
  readonly rows: () => number;
  readonly write: (text: string) => void;
}

/** One use of a command. */
export interface Call {
  readonly arguments: Arguments;
  readonly isJson: boolean;
  readonly around: Surroundings;
}

/** A command of the command line: its row says everything about it but how it is done. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** The names of its positional arguments; what stands in brackets may be left out. */
  readonly positionals: readonly string[];
  readonly flags: readonly Flag[];
  /** Its flags are the agent's options, which it checks itself with the environment and the file. */
  readonly readsOptions: boolean;
  readonly run: (call: Call) => Promise<number>;
}

/** How a command ends, for scripts. */
export const EXIT = { done: 0, failed: 1, misused: 2, unanswered: 3 } as const;
