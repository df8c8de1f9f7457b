import { flushCompileCache } from 'node:module';
import { describe } from '@drayage/core';
import type pino from 'pino';
import { localUrl } from '../address.ts';
import { type Agent, startAgent } from '../agent.ts';
import { type Call, EXIT } from '../command.ts';
import { type Config, readConfig } from '../config.ts';
import { openLog } from '../log.ts';
import { nextSteps } from '../next-steps.ts';
import type { LogFormat } from '../options.ts';
import { sourcesOf } from '../sources.ts';
import { idleOptions } from '../swarm-options.ts';
import { VERSION } from '../version.ts';

const DRAIN_MS = 30_000;
/** What is left for closing files once the streams have ended. */
const CLOSE_MS = 5000;

/** Runs an agent until it is told to end. */
export async function agent(call: Call): Promise<number> {
  const config = await readConfig(sourcesOf(call));
  const { isColoured } = call.around.err;
  const log = await openLog({ level: config.logLevel, format: formatOf(config, call), isColoured });
  const ending = untilTold();
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error({ stack: error instanceof Error ? error.stack : undefined }, `ending on a bug: ${describe(error)}`);
      process.exit(EXIT.failed);
    });
  }
  await using running = await startAgent(config, { log, home: call.around.home, version: VERSION });
  const stopReloading = reloadOnHangup(running, call, log);
  greet(running, config, { call, log });
  // Kept now: an agent that is killed has no time for it.
  flushCompileCache();
  await ending;
  stopReloading();
  log.info('ending; streams have 30 s');
  setTimeout(() => process.exit(EXIT.failed), DRAIN_MS + CLOSE_MS).unref();
  await running.drain(AbortSignal.timeout(DRAIN_MS));
  return EXIT.done;
}

function formatOf({ logFormat }: Config, { around, isJson }: Call): LogFormat {
  if (isJson) return 'json';
  return logFormat ?? (around.err.isTerminal ? 'pretty' : 'json');
}

/** Resolves at the first signal; the second ends the process where it stands. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let isTold = false;
    const told = () => {
      if (isTold) process.exit(EXIT.failed);
      isTold = true;
      resolve();
    };
    process.on('SIGTERM', told);
    process.on('SIGINT', told);
  });
}

function reloadOnHangup(running: Agent, call: Call, log: pino.Logger): () => void {
  const reload = () => {
    readConfig(sourcesOf(call)).then(
      (next) => {
        const waiting = running.reconfigure(next);
        if (waiting.length === 0) log.info('configuration read again');
        else log.warn(`configuration read again; a restart is needed for: ${waiting.join(', ')}`);
      },
      (error: unknown) => log.error(`configuration kept as it was: ${describe(error).replaceAll('\n', '; ')}`),
    );
  };
  process.on('SIGHUP', reload);
  return () => {
    process.off('SIGHUP', reload);
    // The default would end the process in the middle of draining.
    process.on('SIGHUP', () => {});
  };
}

function greet(running: Agent, config: Config, { call, log }: { call: Call; log: pino.Logger }): void {
  const [endpoint = ''] = running.endpoint;
  log.info(`ready on http://${endpoint}, admin on ${localUrl(running.admin)}, data in ${config.data}`);
  const proxy = running.proxy?.status();
  if (proxy) log.info(`forward proxy on http://${proxy.address}, answering for ${proxy.places.join(', ')}`);
  const open = config.origins.filter(({ rules }) => rules.access === 'node');
  const names = open.map(({ name, rules }) => (rules.push ? `${name} (and push)` : name));
  if (open.length > 0) log.warn(`every local caller may read with this agent's credential: ${names.join(', ')}`);
  const idle = idleOptions(config);
  if (idle.length > 0) log.warn(`without --swarm-key-file these do nothing: ${idle.join(', ')}`);
  const { env, err } = call.around;
  // Lines to be copied stand bare before a person; a program that reads JSON gets JSON.
  const say =
    formatOf(config, call) === 'pretty' ? (line: string) => err.write(`  ${line}\n`) : (line: string) => log.info(line);
  for (const line of nextSteps(running.admin, env['npm_command'] === undefined ? 'drayage' : 'npx drayage')) say(line);
}
