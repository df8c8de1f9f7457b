export { CONFIG_FLAG, CONFIG_HELP, OPTIONS } from './options.ts';
