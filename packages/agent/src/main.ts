import { homedir } from 'node:os';
import { runCommandLine } from './cli.ts';
import type { Output } from './command.ts';

function output(stream: NodeJS.WriteStream): Output {
  const isTerminal = stream.isTTY === true;
  return {
    isTerminal,
    isColoured: isTerminal && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
    columns: () => stream.columns ?? 80,
    rows: () => stream.rows ?? 24,
    write: (text) => void stream.write(text),
  };
}

/** A user that this machine does not know, without HOME, has none: containers and sandboxes run as such. */
function home(): string {
  try {
    return homedir();
  } catch {
    return '/';
  }
}

// A reader that went away (`drayage blobs | head`) is no failure worth a word.
process.stdout.on('error', () => process.exit(0));
process.stderr.on('error', () => {});

const status = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  home: home(),
  isRoot: process.getuid?.() === 0,
  out: output(process.stdout),
  err: output(process.stderr),
});
process.exit(status);
