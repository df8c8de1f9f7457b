import { describe, isFailure } from '@drayage/core';
import { type Arguments, type Flag, readArguments } from './arguments.ts';
import { closest } from './closest.ts';
import { type Call, type Command, EXIT, type Surroundings } from './command.ts';
import { COMMANDS } from './commands.ts';
import { VERSION } from './version.ts';

const HELP_WIDTH = 30;
const WHERE_TO_LOOK = 'drayage --help lists the commands';

/** Runs one command line to its end, and says how to exit. */
export async function runCommandLine(words: readonly string[], around: Surroundings): Promise<number> {
  const [name, ...rest] = words;
  if (name === 'help' && rest[0] !== undefined) return runCommandLine([rest[0], '--help'], around);
  if (name === '--help' || name === '-h' || name === 'help') {
    around.out.write(overview());
    return EXIT.done;
  }
  if (name === '--version' || name === 'version') {
    around.out.write(`${VERSION}\n`);
    return EXIT.done;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (!command) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const near = closest(name ?? '', names);
    const what = name === undefined ? 'a command is missing' : `there is no command "${name.slice(0, 64)}"`;
    around.err.write(
      `drayage: ${what}${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}\n${WHERE_TO_LOOK}\n`,
    );
    return EXIT.misused;
  }
  const given = readArguments(rest, command.flags);
  if (given.values.has('help')) {
    around.out.write(commandHelp(command));
    return EXIT.done;
  }
  return runCommand(command, { arguments: given, isJson: given.values.has('json'), around });
}

async function runCommand(command: Command, call: Call): Promise<number> {
  const { err, out } = call.around;
  try {
    const faults = [...positionalFaults(command, call.arguments), ...call.arguments.faults];
    // What reads options reports these together with the faults of the environment and the file.
    if (command.readsOptions) return await command.run({ ...call, arguments: { ...call.arguments, faults } });
    if (faults.length > 0) {
      err.write(`${faults.map((fault) => `drayage ${command.name}: ${fault}\n`).join('')}`);
      err.write(`drayage ${command.name} --help says how it is used\n`);
      return EXIT.misused;
    }
    return await command.run(call);
  } catch (error) {
    const { code, status } = sortOut(error);
    if (call.isJson) out.write(`${JSON.stringify({ error: { code, message: describe(error) } })}\n`);
    for (const line of describe(error).split('\n')) err.write(`drayage ${command.name}: ${line}\n`);
    if (status === EXIT.unanswered)
      err.write('start one with "drayage agent", or name its admin address with --admin\n');
    return status;
  }
}

function sortOut(error: unknown): { readonly code: string; readonly status: number } {
  if (!isFailure(error)) return { code: 'internal', status: EXIT.failed };
  if (error.code === 'options_invalid') return { code: error.code, status: EXIT.misused };
  return { code: error.code, status: error.code === 'agent_unreachable' ? EXIT.unanswered : EXIT.failed };
}

function positionalFaults({ positionals }: Command, given: Arguments): readonly string[] {
  const left = positionals.slice(given.positionals.length);
  const missing = left.filter((name) => !name.startsWith('[')).map((name) => `${name} is missing`);
  const extra = given.positionals
    .slice(positionals.length)
    .map((word) => `"${word.slice(0, 64)}" is one word too many`);
  return [...missing, ...extra];
}

function overview(): string {
  const lines = COMMANDS.map(({ name, positionals, summary }) => helpLine([name, ...positionals].join(' '), summary));
  return [
    'Usage: drayage COMMAND [OPTIONS]',
    '',
    ...lines,
    '',
    'drayage COMMAND --help says more of one. Every command takes --json.',
    'Exit codes: 0 done, 1 failed, 2 wrong use, 3 the agent does not answer.',
    '',
  ].join('\n');
}

function commandHelp({ name, summary, positionals, flags }: Command): string {
  const lines = flags.map((flag: Flag) => helpLine([`--${flag.flag}`, flag.value ?? ''].join(' ').trim(), flag.help));
  const usage = ['drayage', name, ...positionals, '[OPTIONS]'].join(' ');
  return `Usage: ${usage}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n\n${lines.join('\n')}\n`;
}

function helpLine(what: string, help: string): string {
  return `  ${what.padEnd(HELP_WIDTH)}  ${help}`;
}
