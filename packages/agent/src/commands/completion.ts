import { Failure } from '@drayage/core';
import { type Call, type Command, EXIT } from '../command.ts';

type Shell = 'bash' | 'zsh' | 'fish';

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  // With nothing to offer, bash itself offers files.
  bash: (commands) => `_drayage() {
  local words
  COMPREPLY=()
  case \${COMP_WORDS[COMP_CWORD-1]} in
    ${flagsWithValues(commands)}) return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${namesOf(commands)}'
  else
    case \${COMP_WORDS[1]} in
${commands.map((command) => `      ${command.name}) words='${wordsAfter(command)}' ;;`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _drayage drayage
`,
  // Read by `source`, or by zsh itself from a file of its fpath, the first time it is wanted.
  zsh: (commands) => `#compdef drayage
_drayage() {
  case $words[CURRENT-1] in
    ${flagsWithValues(commands)}) _files; return ;;
  esac
  if (( CURRENT == 2 )); then
    compadd -- ${namesOf(commands)}
    return
  fi
  case $words[2] in
${commands.map((command) => `    ${command.name}) compadd -- ${wordsAfter(command)}${takesFile(command) ? '; _files' : ''} ;;`).join('\n')}
  esac
}
if [[ $funcstack[1] == _drayage ]]; then _drayage "$@"; else compdef _drayage drayage; fi
`,
  fish: (commands) => `${['complete -c drayage -f', ...commands.flatMap(fishLines)].join('\n')}\n`,
};

/** Prints what makes a shell complete our command lines, made of the rows that help is made of. */
export async function completion(call: Call, commands: readonly Command[]): Promise<number> {
  const { arguments: given, around, isJson } = call;
  const [shell = ''] = given.positionals;
  if (!isShell(shell))
    throw new Failure('options_invalid', `there is no "${shell.slice(0, 64)}": ${Object.keys(SCRIPTS).join(', ')}`);
  const script = SCRIPTS[shell](commands);
  around.out.write(isJson ? `${JSON.stringify({ shell, script })}\n` : script);
  return EXIT.done;
}

function isShell(text: string): text is Shell {
  return Object.hasOwn(SCRIPTS, text);
}

function namesOf(commands: readonly Command[]): string {
  return commands.map(({ name }) => name).join(' ');
}

function wordsAfter({ positionals, flags }: Command): string {
  return [...fixedWords(positionals), ...flags.map(({ flag }) => `--${flag}`)].join(' ');
}

function flagsWithValues(commands: readonly Command[]): string {
  const flags = commands.flatMap((command) => command.flags).filter(({ value }) => value !== undefined);
  return [...new Set(flags.map(({ flag }) => `--${flag}`))].join('|');
}

function takesFile({ positionals }: Command): boolean {
  return positionals.some((name) => name.includes('FILE'));
}

/** What a positional may be, where that is one of a few words; names of things are written in capitals. */
function fixedWords(positionals: readonly string[]): string[] {
  return positionals.filter((name) => /^[a-z|]+$/.test(name)).flatMap((name) => name.split('|'));
}

function fishLines(command: Command): string[] {
  const { name, summary, positionals, flags } = command;
  const after = `complete -c drayage -n '__fish_seen_subcommand_from ${name}'`;
  return [
    `complete -c drayage -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...fixedWords(positionals).map((word) => `${after} -a ${word}`),
    ...(takesFile(command) ? [`${after} -F`] : []),
    ...flags.map(
      ({ flag, value, help }) => `${after}${value === undefined ? '' : ' -r -F'} -l ${flag} -d ${quoted(help)}`,
    ),
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
