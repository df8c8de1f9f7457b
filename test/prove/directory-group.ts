import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Orders } from './directory-members.ts';

/** As agents are started. */
const NODE_OPTIONS = ['--max-semi-space-size=8'];

/** A process with members in it. */
export interface Worker {
  ask<Name extends keyof Orders>(
    name: Name,
    order: Parameters<Orders[Name]>[0],
  ): Promise<Awaited<ReturnType<Orders[Name]>>>;
}

/** Processes that end with the group. */
export function startGroup(): AsyncDisposable & { fork(): Worker } {
  const children: ChildProcess[] = [];
  return {
    fork() {
      const child = fork(join(import.meta.dirname, 'directory-members.ts'), { execArgv: NODE_OPTIONS });
      children.push(child);
      return {
        async ask(name, order) {
          child.send({ name, order });
          const [answer] = await once(child, 'message');
          if (answer.problem !== undefined) throw new Error(answer.problem);
          return answer.value;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
    },
  };
}
