import type { Call } from './command.ts';
import type { Sources } from './config.ts';

/** The options a command was called with, and where else they may stand. */
export function sourcesOf({ arguments: given, around }: Call): Sources {
  const { env, home, isRoot } = around;
  return { arguments: given, env, defaults: { home, dataHome: env['XDG_DATA_HOME'], isRoot } };
}
