import { isOriginName } from '@drayage/core';
import { type Address, type AdminAddress, parseAddress, parseAdminAddress } from './address.ts';
import { didYouMean } from './closest.ts';
import { limit, many, type Option, one, path } from './option.ts';
import { PROXY_OPTIONS, type ProxyOptions } from './proxy-options.ts';
import { SWARM_OPTIONS, type SwarmOptions } from './swarm-options.ts';
import { parseSize } from './units.ts';

const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = 'json' | 'pretty';

/** An origin given as NAME=URL. */
export interface NamedUrl {
  readonly name: string;
  readonly url: string;
}

/** The value of every option, whoever gave it. */
export interface Options extends SwarmOptions, ProxyOptions {
  readonly listen: readonly Address[];
  readonly admin: AdminAddress;
  readonly data: string;
  readonly origin: readonly NamedUrl[];
  readonly defaultOrigin: string;
  /** A runtime's own blobs, read as well; undefined: none. */
  readonly contentStore: string | undefined;
  /** Undefined: as the free disk allows. */
  readonly cacheBytes: number | undefined;
  readonly originRate: number | undefined;
  readonly logLevel: LogLevel;
  /** Undefined: pretty on a terminal, else JSON. */
  readonly logFormat: LogFormat | undefined;
}

/** The public registries an agent knows from the start. */
export const KNOWN_ORIGINS: readonly NamedUrl[] = [
  { name: 'docker.io', url: 'https://registry-1.docker.io' },
  ...['ghcr.io', 'quay.io', 'registry.k8s.io', 'gcr.io', 'mcr.microsoft.com', 'public.ecr.aws'].map((name) => ({
    name,
    url: `https://${name}`,
  })),
];

/** The option that names the file; it cannot stand in the file. */
export const CONFIG_FLAG = { flag: 'config', env: 'DRAYAGE_CONFIG', value: 'FILE', fallback: 'none' } as const;
export const CONFIG_HELP = 'YAML; any option below by its camelCase name, and `origins`';

const LISTEN_ADDRESSES_MAX = 16;
const ORIGINS_MAX = 256;

export const OPTIONS: { readonly [K in keyof Options]: Option<Options[K]> } = {
  listen: {
    flag: 'listen',
    env: 'DRAYAGE_LISTEN',
    value: 'ADDR',
    fallback: '127.0.0.1:5050',
    help: 'registry endpoint (repeatable)',
    initial: () => [{ host: '127.0.0.1', port: 5050 }],
    parse: many(parseAddress, LISTEN_ADDRESSES_MAX),
  },
  admin: {
    flag: 'admin',
    env: 'DRAYAGE_ADMIN',
    value: 'ADDR',
    fallback: '127.0.0.1:5051',
    help: 'admin API and metrics; `unix:PATH` allowed',
    initial: () => ({ host: '127.0.0.1', port: 5051 }),
    parse: one(parseAdminAddress),
  },
  data: {
    flag: 'data',
    env: 'DRAYAGE_DATA',
    value: 'DIR',
    fallback: '$XDG_DATA_HOME/drayage, /var/lib/drayage as root',
    help: 'identity and store',
    isPath: true,
    initial: ({ home, dataHome, isRoot }) =>
      isRoot ? '/var/lib/drayage' : `${dataHome || `${home}/.local/share`}/drayage`,
    parse: one(path),
  },
  ...SWARM_OPTIONS,
  ...PROXY_OPTIONS,
  origin: {
    flag: 'origin',
    env: 'DRAYAGE_ORIGIN',
    value: 'NAME=URL',
    fallback: KNOWN_ORIGINS.map(({ name }) => name).join(', '),
    help: 'an origin registry to add to the known ones, or to find elsewhere (repeatable)',
    initial: () => [],
    parse: many(namedUrl, ORIGINS_MAX),
  },
  defaultOrigin: {
    flag: 'default-origin',
    env: 'DRAYAGE_DEFAULT_ORIGIN',
    value: 'NAME',
    fallback: 'docker.io',
    help: 'origin of requests that name none',
    initial: () => 'docker.io',
    parse: one(originName),
  },
  contentStore: {
    flag: 'content-store',
    env: 'DRAYAGE_CONTENT_STORE',
    value: 'DIR',
    fallback: 'none',
    help: "containerd's content store, read as a second source and shared with members: `/var/lib/containerd/io.containerd.content.v1.content`",
    isPath: true,
    initial: () => undefined,
    parse: one(path),
  },
  cacheBytes: {
    flag: 'cache-bytes',
    env: 'DRAYAGE_CACHE_BYTES',
    value: 'SIZE',
    fallback: '80 % of what is free or already held, at most 200 GiB',
    help: 'most bytes the store keeps',
    initial: () => undefined,
    parse: one(parseSize),
  },
  originRate: {
    flag: 'origin-rate',
    env: 'DRAYAGE_ORIGIN_RATE',
    value: 'SIZE/s',
    fallback: 'none',
    help: 'most bytes per second taken from all origins together',
    initial: () => undefined,
    parse: one(limit),
  },
  logLevel: {
    flag: 'log-level',
    env: 'DRAYAGE_LOG_LEVEL',
    value: 'LEVEL',
    fallback: 'info',
    help: `${LOG_LEVELS.join(', ')}; to stderr`,
    initial: () => 'info',
    parse: one((text) => oneOf(text, LOG_LEVELS)),
  },
  logFormat: {
    flag: 'log-format',
    env: 'DRAYAGE_LOG_FORMAT',
    value: 'FORMAT',
    fallback: 'pretty on a terminal, else json',
    help: 'json or pretty',
    initial: () => undefined,
    parse: one((text) => oneOf(text, ['json', 'pretty'] as const)),
  },
};

/** Checks a registry's URL: a scheme, a host, perhaps a port, and nothing else. */
export function originUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new Error('the URL must begin with https:// or http://');
  if (url.username || url.password) throw new Error('the URL must hold no credential; name a file under `credential`');
  if (url.pathname !== '/' || url.search || url.hash) throw new Error('the URL must end after the host and port');
  return url.origin;
}

/** Checks that the text is one of the words. */
export function oneOf<Word extends string>(text: string, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined) throw new Error(`must be one of ${words.join(', ')}${didYouMean(text, words)}`);
  return word;
}

export function originName(text: string): string {
  if (!isOriginName(text)) throw new Error('not a registry name such as ghcr.io or registry.example.com:5000');
  return text;
}

function namedUrl(text: string): NamedUrl {
  const equals = text.indexOf('=');
  if (equals < 1) throw new Error('must be NAME=URL, such as registry.example.com=https://registry.example.com');
  return { name: originName(text.slice(0, equals)), url: originUrl(text.slice(equals + 1)) };
}
