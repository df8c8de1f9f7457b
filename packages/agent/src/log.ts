import pino from 'pino';
import type { LogFormat, LogLevel } from './options.ts';

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly isColoured: boolean;
}

/** A logger to stderr that has written each line when the call returns, so that a crash loses none. */
export async function openLog({ level, format, isColoured }: LogSettings): Promise<pino.Logger> {
  const stderr = pino.destination({ dest: 2, sync: true });
  // The terminal may go away; the agent stays.
  stderr.on('error', () => {});
  const sink = format === 'json' ? stderr : await prettyInto(stderr, isColoured);
  return pino({ level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"`, formatters }, sink);
}

const formatters = { level: (label: string): { level: string } => ({ level: label }) };

async function prettyInto(stderr: pino.DestinationStream, isColoured: boolean): Promise<pino.DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize: isColoured, translateTime: 'SYS:HH:MM:ss', singleLine: true });
  return { write: (line) => stderr.write(pretty(line)) };
}
