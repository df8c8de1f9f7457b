import { Failure } from '@drayage/core';
import { type Call, type Command, EXIT } from '../command.ts';

type Shell = 'bash' | 'zsh' | 'fish';

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  bash: (commands) => `_drayage() {
  local words
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
  zsh: (commands) => `#compdef drayage
_drayage() {
  if (( CURRENT == 2 )); then
    compadd -- ${namesOf(commands)}
    return
  fi
  case $words[2] in
${commands.map((command) => `    ${command.name}) compadd -- ${wordsAfter(command)} ;;`).join('\n')}
  esac
  _files
}
compdef _drayage drayage
`,
  fish: (commands) => `${commands.flatMap(fishLines).join('\n')}\n`,
};

/** Prints what makes a shell complete our command lines, made of the rows that help is made of. */
export async function completion({ arguments: given, around }: Call, commands: readonly Command[]): Promise<number> {
  const [shell = ''] = given.positionals;
  if (!isShell(shell))
    throw new Failure('options_invalid', `there is no "${shell.slice(0, 64)}": ${Object.keys(SCRIPTS).join(', ')}`);
  around.out.write(SCRIPTS[shell](commands));
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

/** What a positional may be, where that is one of a few words; names of things are written in capitals. */
function fixedWords(positionals: readonly string[]): string[] {
  return positionals.filter((name) => /^[a-z|]+$/.test(name)).flatMap((name) => name.split('|'));
}

function fishLines({ name, summary, positionals, flags }: Command): string[] {
  const after = `complete -c drayage -n '__fish_seen_subcommand_from ${name}'`;
  return [
    `complete -c drayage -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
    ...fixedWords(positionals).map((word) => `${after} -f -a ${word}`),
    ...flags.map(
      ({ flag, value, help }) => `${after}${value === undefined ? '' : ' -r'} -l ${flag} -d ${quoted(help)}`,
    ),
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
