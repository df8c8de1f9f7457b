export { readArguments } from './arguments.ts';
export type { Output } from './command.ts';
export { COMMANDS } from './commands.ts';
export { CONFIG_FLAG, CONFIG_HELP, OPTIONS } from './options.ts';
export { liveLines, paint } from './terminal.ts';
export { formatSize, parseSize } from './units.ts';
