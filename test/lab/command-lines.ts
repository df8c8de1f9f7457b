import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const CLI = resolve(import.meta.dirname, '../../packages/agent/src/cli.ts');

/** Runs command lines one after another in one process: what starting that process takes is paid once, not a thousand times. */
const LOOP = `
  import { createInterface } from 'node:readline';
  const { runCommandLine } = await import(process.argv[1]);
  for await (const line of createInterface({ input: process.stdin })) {
    const said = { out: '', err: '' };
    const output = (to) => ({ isTerminal: false, isColoured: false, columns: () => 80, rows: () => 24, write: (text) => void (said[to] += text) });
    const code = await runCommandLine(JSON.parse(line), { env: {}, home: '/', isRoot: true, out: output('out'), err: output('err') });
    process.stdout.write(JSON.stringify({ code, ...said }) + '\\n');
  }
`;

/** What a command said, and how it ended. */
interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CommandLines extends AsyncDisposable {
  run(...words: readonly string[]): Promise<Said>;
}

export function startCommandLines(): CommandLines {
  const child = spawn(process.execPath, ['--input-type=module', '-e', LOOP, CLI], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit');
  return {
    async run(...words) {
      child.stdin.write(`${JSON.stringify(words)}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error(`the command line ended at: ${words.join(' ')}`);
      return JSON.parse(value);
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
