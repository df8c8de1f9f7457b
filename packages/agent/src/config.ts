import { resolve } from 'node:path';
import { describe, Failure } from '@drayage/core';
import type { Arguments } from './arguments.ts';
import { didYouMean } from './closest.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import type { Defaults, Option } from './option.ts';
import { CONFIG_FLAG, KNOWN_ORIGINS, OPTIONS, type Options } from './options.ts';
import type { OriginConfig } from './origin-config.ts';

/** Everything an agent is told. */
export interface Config extends Omit<Options, 'origin'> {
  readonly origins: readonly OriginConfig[];
  /** The file that was read, for reading it again. */
  readonly file: string | undefined;
}

/** Where options come from. */
export interface Sources {
  readonly arguments: Arguments;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly defaults: Defaults;
}

const OPTION_NAMES = Object.keys(OPTIONS) as (keyof Options)[];

/** Flag, environment, file, default, in this order. Throws one `options_invalid` that lists every fault with its source. */
export async function readConfig(sources: Sources): Promise<Config> {
  const faults = [...sources.arguments.faults, ...unknownVariables(sources.env)];
  const path = sources.arguments.values.get(CONFIG_FLAG.flag)?.at(-1) ?? (sources.env[CONFIG_FLAG.env] || undefined);
  const file = path === undefined ? undefined : await readConfigFile(path, OPTION_NAMES);
  faults.push(...(file?.faults ?? []));

  const read = <K extends keyof Options>(name: K) => readOption(name, { sources, file, faults });
  const named = read('origin');
  const config: Config = {
    listen: read('listen'),
    admin: read('admin'),
    data: read('data'),
    swarmListen: read('swarmListen'),
    linkListen: read('linkListen'),
    advertise: read('advertise'),
    swarmKeyFile: read('swarmKeyFile'),
    join: read('join'),
    zone: read('zone'),
    uploadRate: read('uploadRate'),
    downloadRate: read('downloadRate'),
    proxyListen: read('proxyListen'),
    proxyOthers: read('proxyOthers'),
    defaultOrigin: read('defaultOrigin'),
    contentStore: read('contentStore'),
    cacheBytes: read('cacheBytes'),
    originRate: read('originRate'),
    logLevel: read('logLevel'),
    logFormat: read('logFormat'),
    origins: mergeOrigins(file?.origins ?? [], named),
    file: file?.path,
  };
  if (!config.origins.some(({ name }) => name === config.defaultOrigin)) {
    faults.push(`--default-origin: ${config.defaultOrigin} is not among the origins; add it with --origin NAME=URL`);
  }
  if (faults.length > 0) throw new Failure('options_invalid', faults.join('\n'));
  return config;
}

interface Reading {
  readonly sources: Sources;
  readonly file: ConfigFile | undefined;
  readonly faults: string[];
}

function readOption<K extends keyof Options>(name: K, { sources, file, faults }: Reading): Options[K] {
  const option: Option<Options[K]> = OPTIONS[name];
  const variable = (option.env && sources.env[option.env]) || undefined;
  const given: readonly (readonly [source: string, texts: readonly string[] | undefined, folder: string])[] = [
    [`--${option.flag}`, sources.arguments.values.get(option.flag), ''],
    [option.env ?? '', variable === undefined ? undefined : [variable], ''],
    [`${file?.path}: ${name}`, file?.values.get(name), file?.folder ?? ''],
  ];
  let value: Options[K] | undefined;
  let isGiven = false;
  // Every source is checked, not only the one that wins: a wrong value that hides today surprises tomorrow.
  for (const [source, texts, folder] of given) {
    if (texts === undefined) continue;
    try {
      const parsed = option.parse(option.isPath ? texts.map((text) => absolute(folder, text)) : texts);
      if (!isGiven) value = parsed;
      isGiven = true;
    } catch (error) {
      faults.push(`${source}: ${describe(error)}`);
    }
  }
  return isGiven ? (value as Options[K]) : option.initial(sources.defaults);
}

function absolute(folder: string, text: string): string {
  return text === '' ? '' : resolve(folder, text);
}

/** The known origins, then what the file says of any, then addresses given by name. */
function mergeOrigins(
  fromFile: readonly OriginConfig[],
  named: readonly { readonly name: string; readonly url: string }[],
): readonly OriginConfig[] {
  const origins = new Map<string, OriginConfig>(KNOWN_ORIGINS.map(({ name, url }) => [name, plainOrigin(name, url)]));
  for (const origin of fromFile) {
    const url = origin.url || (origins.get(origin.name)?.url ?? `https://${origin.name}`);
    origins.set(origin.name, { ...origin, url });
  }
  for (const { name, url } of named) {
    origins.set(name, { ...(origins.get(name) ?? plainOrigin(name, url)), url });
  }
  return [...origins.values()];
}

function plainOrigin(name: string, url: string): OriginConfig {
  return { name, url, credential: undefined, realms: [], caFile: undefined, isProxied: undefined, rules: {} };
}

/** Kubernetes gives every container variables for a Service of this name; they are not ours. */
const SERVICE_VARIABLE = /^DRAYAGE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP)(?:_\w+)?)?)$/;

function unknownVariables(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const known = [CONFIG_FLAG.env, ...Object.values(OPTIONS).flatMap(({ env: variable }) => variable ?? [])];
  return Object.keys(env)
    .filter((name) => name.startsWith('DRAYAGE_') && !known.includes(name) && !SERVICE_VARIABLE.test(name))
    .map((name) => `${name.slice(0, 64)}: there is no such variable${didYouMean(name, known)}`);
}
