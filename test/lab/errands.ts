import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Errand, ErrandResult } from './errand-process.ts';
import { within } from './process.ts';
import type { PullOrder, PullReport } from './pull-image.ts';

const START_WAIT_MS = 60_000;
const GET_WAIT_MS = 20_000;

/** A process on a host that speaks to the host's own loopback for the tests. */
export interface Errands extends AsyncDisposable {
  pull(order: PullOrder, boundMs: number): Promise<PullReport>;
  get(address: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Starts it behind the words that lead onto the host, ready to go at once. */
export async function startErrands(inside: readonly string[], log: string): Promise<Errands> {
  const [enter = process.execPath, ...words] = [...inside, process.execPath];
  const output = openSync(log, 'a');
  const child = fork(join(import.meta.dirname, 'errand-process.ts'), {
    execPath: enter,
    execArgv: [...words],
    stdio: ['ignore', output, output, 'ipc'],
  });
  closeSync(output);
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const exited = once(child, 'exit');
  const ready = Promise.withResolvers<unknown>();
  waiting.set(0, ready);
  child.on('message', ({ id, result, error }: ErrandResult) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result);
    else asked?.reject(new Error(error));
  });
  child.once('exit', () => {
    for (const asked of waiting.values()) asked.reject(new Error('the process that runs errands has ended'));
  });
  let last = 0;
  const ask = (what: string, errand: Errand, boundMs: number): Promise<unknown> => {
    const asked = Promise.withResolvers<unknown>();
    waiting.set(++last, asked);
    child.send({ id: last, errand });
    return within(what, boundMs, asked.promise);
  };
  await within('the process that runs errands', START_WAIT_MS, ready.promise);
  return {
    pull: async (order, boundMs) =>
      (await ask(`pull of ${order.repository}`, { kind: 'pull', order }, boundMs)) as PullReport,
    get: async (address) => (await ask(address, { kind: 'get', address }, GET_WAIT_MS)) as Answer,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
