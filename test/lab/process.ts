import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 25;
const READY_WAIT_MS = 30_000;
const STOP_WAIT_MS = 15_000;
const OUTPUT_BYTES_MAX = 1 << 20;
const LOG_LINES_SHOWN = 25;

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where its output goes. */
  readonly log: string;
  /** Polled until true; throws count as not yet. */
  readonly ready: () => Promise<boolean>;
  readonly readyWaitMs?: number;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  /** Ends it at once, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to end, and insists after a while; resolves with the exit code or signal. */
  stop(): Promise<number | string>;
}

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command behind the words that run it elsewhere, such as in another namespace. */
export function commandAt(
  inside: readonly string[],
  command: string,
  args: readonly string[],
): { readonly command: string; readonly args: readonly string[] } {
  const [first = command, ...rest] = [...inside, command, ...args];
  return { command: first, args: rest };
}

/** Starts a program and resolves when it is ready. Throws with the end of its log when it never is. */
export async function start(program: Program): Promise<Running> {
  const log = openSync(program.log, 'a');
  const child = spawn(program.command, program.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...program.env },
  });
  closeSync(log);
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const running = runningOf(child, exited);
  let over = false;
  exited.then(
    () => (over = true),
    () => (over = true),
  );
  try {
    await until(`${program.command} to be ready`, program.readyWaitMs ?? READY_WAIT_MS, async () => {
      if (over) throw new Ended(`${program.command} ended with ${await exited}`);
      return program.ready();
    });
  } catch (error) {
    await running.kill();
    throw new Error(`${program.command} did not start:\n${tail(program.log)}`, { cause: error });
  }
  return running;
}

/** Runs a program to its end. Throws when it outlives its bound; a failing exit code is a result. */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, boundMs = 120_000, cwd }: { env?: Readonly<Record<string, string>>; boundMs?: number; cwd?: string } = {},
): Promise<Result> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
  const stdout = collect(child, 'stdout');
  const stderr = collect(child, 'stderr');
  const late = setTimeout(() => child.kill('SIGKILL'), boundMs);
  try {
    const [code, signal] = await once(child, 'close');
    if (signal === 'SIGKILL') throw new Error(`${command} ${args.join(' ')} did not end within ${boundMs} ms`);
    return { code: code ?? 1, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(late);
  }
}

/** Runs a program that must succeed, and returns what it printed. */
export async function must(
  command: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout.trim();
}

class Ended extends Error {}

/** Polls a condition within a bound. A condition that throws is not true yet. */
export async function until(what: string, waitMs: number, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + waitMs;
  let last: unknown;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      if (error instanceof Ended) throw error;
      last = error;
    }
    if (performance.now() > end) throw new Error(`waited ${waitMs} ms in vain for ${what}`, { cause: last });
    await sleep(POLL_MS);
  }
}

/** Resolves as the promise does, or throws when that takes too long. */
export async function within<T>(what: string, waitMs: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} took more than ${waitMs} ms`)), waitMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Every living process of the namespace but the first, this one, and those given. */
export function othersAlive(known: ReadonlySet<number>): { pid: number; command: string }[] {
  const found = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === 1 || pid === process.pid || known.has(pid)) continue;
    const command = commandOf(pid);
    if (command !== '') found.push({ pid, command });
  }
  return found;
}

/** The last lines of a log. */
export function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  } catch {
    return '';
  }
}

/** Empty for kernel threads, zombies and what has gone meanwhile. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function runningOf(child: ChildProcess, exited: Promise<number | string>): Running {
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WAIT_MS);
    try {
      return await exited;
    } finally {
      clearTimeout(late);
    }
  };
  return {
    pid: child.pid ?? 0,
    exited,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}

function collect(child: ChildProcess, stream: 'stdout' | 'stderr'): () => string {
  let text = '';
  child[stream]?.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < OUTPUT_BYTES_MAX) text += chunk;
  });
  return () => text;
}
