import { isAbsolute, join } from 'node:path';
import { isOriginName } from '@drayage/core';
import {
  type AccessPolicy,
  type CredentialSettings,
  type OriginRules,
  PROOF_MAX,
  type ProofRule,
  type RepositoryRules,
  type TagRule,
} from '@drayage/registry';
import { didYouMean } from './closest.ts';
import { oneOf, originName, originUrl } from './options.ts';
import { parseDuration } from './units.ts';

const ACCESS: readonly AccessPolicy[] = ['public', 'proof', 'node', 'bypass'];
const STALE_FOR_MS = 7 * 24 * 3600 * 1000;

/** All that is configured for one origin. */
export interface OriginConfig {
  readonly name: string;
  readonly url: string;
  readonly credential: CredentialSettings | undefined;
  readonly realms: readonly string[];
  readonly caFile: string | undefined;
  /** Whether the proxy answers in its place; undefined: as is usual for it. */
  readonly isProxied: boolean | undefined;
  /** Who may read what of it, and how long its tags are believed. */
  readonly rules: OriginRules;
}

/** Where a file's values stand, and where to complain about them. */
export interface Place {
  readonly path: string;
  /** Relative paths in the file start here. */
  readonly folder: string;
  readonly fault: (path: string, why: string) => void;
}

type Fields = Readonly<Record<string, unknown>>;

const RULES_MAX = 256;
const PATTERN = /^[a-zA-Z0-9._/*-]{1,255}$/;

/** Reads the `origins` of a configuration file; what is wrong goes to the place's `fault`, and is left out. */
export function readOrigins(value: unknown, place: Place): readonly OriginConfig[] {
  const origins = fields(value, place, undefined);
  if (Object.keys(origins).length > RULES_MAX) place.fault(place.path, `at most ${RULES_MAX} origins may be given`);
  return Object.entries(origins).flatMap(([name, settings]) => {
    const at = below(place, name);
    if (attempt(at, () => originName(name)) === undefined) return [];
    return [readOrigin(name, settings, at)];
  });
}

const ORIGIN_KEYS = ['url', 'access', 'proof', 'credential', 'realms', 'tags', 'repositories', 'push', 'proxy', 'tls'];

function readOrigin(name: string, value: unknown, place: Place): OriginConfig {
  const origin = fields(value ?? {}, place, ORIGIN_KEYS);
  const tls = fields(origin['tls'] ?? {}, below(place, 'tls'), ['ca']);
  const push = origin['push'] ?? false;
  if (typeof push !== 'boolean') place.fault(`${place.path}.push`, 'must be true or false');
  return {
    name,
    url: text(origin['url'], below(place, 'url'), originUrl) ?? '',
    credential: readCredential(origin['credential'], below(place, 'credential')),
    realms: list(origin['realms'], below(place, 'realms'), readHost).filter((host) => host !== undefined),
    caFile: text(tls['ca'], below(place, 'tls.ca'), (file) => within(place, file)),
    isProxied: flag(origin['proxy'], below(place, 'proxy')),
    rules: {
      access: readAccess(origin['access'], place),
      proof: readProof(origin['proof'], below(place, 'proof')),
      tags: readTags(origin['tags'], below(place, 'tags')),
      push: push === true,
      repositories: list(origin['repositories'], below(place, 'repositories'), readRepository),
    },
  };
}

function readRepository(value: unknown, place: Place): RepositoryRules {
  const rule = fields(value, place, ['pattern', 'access', 'tags']);
  return {
    pattern: readPattern(rule['pattern'], place),
    access: readAccess(rule['access'], place),
    tags: readTags(rule['tags'], below(place, 'tags')),
  };
}

function readTags(value: unknown, place: Place): readonly TagRule[] | undefined {
  if (value === undefined) return undefined;
  return list(value, place, (item, at) => {
    const rule = fields(item, at, ['pattern', 'ttl', 'staleFor']);
    return {
      pattern: readPattern(rule['pattern'], at),
      ttlMs: text(rule['ttl'], below(at, 'ttl'), parseDuration) ?? 0,
      staleForMs: text(rule['staleFor'], below(at, 'staleFor'), parseDuration) ?? STALE_FOR_MS,
    };
  });
}

function readAccess(value: unknown, place: Place): AccessPolicy | undefined {
  return text(value, below(place, 'access'), (word) => oneOf(word, ACCESS));
}

function readProof(value: unknown, place: Place): ProofRule | undefined {
  if (value === undefined) return undefined;
  const rule = fields(value, place, ['ttl', 'staleFor']);
  const duration = (key: 'ttl' | 'staleFor', { most, mostMs }: { most: string; mostMs: number }) =>
    text(rule[key], below(place, key), (word) => {
      const ms = parseDuration(word);
      if (ms > mostMs) throw new Error(`must be at most ${most}`);
      return ms;
    }) ?? mostMs;
  return {
    ttlMs: duration('ttl', { most: '15m', mostMs: PROOF_MAX.ttlMs }),
    staleForMs: duration('staleFor', { most: '24h', mostMs: PROOF_MAX.staleForMs }),
  };
}

function readPattern(value: unknown, place: Place): string {
  const at = below(place, 'pattern');
  if (value === undefined) at.fault(at.path, 'is missing');
  const pattern = text(value, at, (word) => {
    if (!PATTERN.test(word)) throw new Error('not a pattern such as v* or team/*');
    return word;
  });
  return pattern ?? '*';
}

function readCredential(value: unknown, place: Place): CredentialSettings | undefined {
  if (value === undefined) return undefined;
  const credential = fields(value, place, ['dockerConfig', 'helper', 'username', 'passwordFile']);
  const path = (key: string) => text(credential[key], below(place, key), (file) => within(place, file));
  const word = (key: string) => text(credential[key], below(place, key), (name) => name);
  const file = path('dockerConfig');
  const helper = text(credential['helper'], below(place, 'helper'), helperName);
  const username = word('username');
  const passwordFile = path('passwordFile');
  const kinds = Object.keys(credential).map((key) => (key === 'passwordFile' ? 'username' : key));
  if (new Set(kinds).size === 1) {
    if (file !== undefined) return { kind: 'dockerConfig', file };
    if (helper !== undefined) return { kind: 'helper', helper };
    if (username !== undefined && passwordFile !== undefined) return { kind: 'password', username, passwordFile };
  }
  place.fault(place.path, 'must be one of dockerConfig, helper, or username with passwordFile');
  return undefined;
}

function readHost(value: unknown, place: Place): string | undefined {
  return text(value, place, (host) => {
    if (!isOriginName(host) || host.includes(':')) throw new Error('not a host such as auth.example.com');
    return host;
  });
}

/** The name becomes part of a program's name, so it may hold nothing that leads elsewhere. */
function helperName(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(name)) throw new Error('not the name of a credential helper');
  return name;
}

/** `~/` is left for whoever opens the file. */
function within(place: Place, file: string): string {
  return isAbsolute(file) || file.startsWith('~/') ? file : join(place.folder, file);
}

function below(place: Place, key: string): Place {
  return { ...place, path: `${place.path}.${key.slice(0, 64)}` };
}

/** The keys of a mapping, those nobody knows reported; with no list of keys, every key is known. */
export function fields(value: unknown, place: Place, known: readonly string[] | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    place.fault(place.path, 'must be a mapping');
    return {};
  }
  if (known) {
    for (const key of Object.keys(value).filter((candidate) => !known.includes(candidate))) {
      place.fault(below(place, key).path, `there is no such key${didYouMean(key, known)}`);
    }
  }
  return value as Fields;
}

function list<T>(value: unknown, place: Place, read: (item: unknown, place: Place) => T): readonly T[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > RULES_MAX) {
    place.fault(place.path, `must be a list of at most ${RULES_MAX}`);
    return [];
  }
  return value.map((item, index) => read(item, { ...place, path: `${place.path}[${index}]` }));
}

function flag(value: unknown, place: Place): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  place.fault(place.path, 'must be true or false');
  return undefined;
}

function text<T>(value: unknown, place: Place, parse: (text: string) => T): T | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number') {
    place.fault(place.path, 'must be a word or a number');
    return undefined;
  }
  return attempt(place, () => parse(String(value)));
}

function attempt<T>(place: Place, parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    place.fault(place.path, (error as Error).message);
    return undefined;
  }
}
