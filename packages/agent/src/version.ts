import manifest from '../package.json' with { type: 'json' };

/** The version of this agent. */
export const VERSION: string = manifest.version;
