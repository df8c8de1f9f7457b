import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '@drayage/core';
import type { Credential } from './credential.ts';
import { askHelper } from './credential-helper.ts';
import { field, parseObject, text } from './json.ts';
import type { OriginSettings } from './types.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const helperKeepMs = 60_000;
const DOCKER_HUB = 'https://index.docker.io/v1/';

export interface Credentials {
  /** The agent's credential as the files and helpers say now. Undefined when they have none; throws `unauthorized` when they cannot be read. */
  read(): Promise<Credential | undefined>;
  /** The origin refused it: whatever was kept of a helper's answer is asked for anew. */
  forget(): void;
}

/** The agent's credential at one origin, from where the operator said. */
export function credentialsOf(settings: OriginSettings, home: string, now: () => number): Credentials {
  const { name, credential } = settings;
  const keys = keysOf(name, new URL(settings.url));
  let kept:
    | { readonly helper: string; readonly until: number; readonly answer: Promise<Credential | undefined> }
    | undefined;

  function help(helper: string): Promise<Credential | undefined> {
    if (kept?.helper !== helper || kept.until < now()) {
      const answer = askHelper(helper, keys[0] ?? name);
      kept = { helper, until: now() + helperKeepMs, answer };
      answer.catch(() => {
        if (kept?.answer === answer) kept = undefined;
      });
    }
    return kept.answer;
  }

  async function readConfig(file: string): Promise<Credential | undefined> {
    const config = parseObject(await readSmall(file, name));
    if (!config) throw new Failure('unauthorized', `${name}: the credential file ${file} is no docker configuration`);
    const helpers = field(config, 'credHelpers');
    const helper =
      keys.map((key) => text(helpers, key)).find((found) => found !== undefined) ?? text(config, 'credsStore');
    return (helper && (await help(helper))) || entryOf(authsOf(config), keys, `${name}: the credential file ${file}`);
  }

  return {
    async read() {
      if (!credential) return undefined;
      if (credential.kind === 'helper') return help(credential.helper);
      if (credential.kind === 'dockerConfig') return readConfig(inHome(credential.file, home));
      const file = inHome(credential.passwordFile, home);
      const password = (await readSmall(file, name)).replace(/\r?\n$/, '');
      if (password === '') throw new Failure('unauthorized', `${name}: the credential file ${file} is empty`);
      return { kind: 'password', username: credential.username, password };
    },
    forget() {
      kept = undefined;
    },
  };
}

/** The names a docker configuration may use for an origin. The first is what helpers are asked for. */
function keysOf(name: string, url: URL): readonly string[] {
  const hosts = [...new Set([name, url.host])];
  const hub = /^(?:index\.|registry-1\.)?docker\.io$/.test(url.host) ? [DOCKER_HUB, 'index.docker.io'] : [];
  const forms = hosts.flatMap((host) => ['', '/', '/v1/', '/v2/'].map((path) => `${url.protocol}//${host}${path}`));
  return [...hub, ...hosts, ...forms];
}

/** The entries of a docker configuration: under `auths`, or, in the older `.dockercfg`, the file itself. */
function authsOf(config: object): object | undefined {
  const isOlder = !['auths', 'credHelpers', 'credsStore'].some((key) => Object.hasOwn(config, key));
  return isOlder ? config : field(config, 'auths');
}

function entryOf(auths: object | undefined, keys: readonly string[], where: string): Credential | undefined {
  for (const key of keys) {
    const entry = field(auths, key);
    const token = text(entry, 'identitytoken');
    if (token) return { kind: 'identity', token };
    const auth = text(entry, 'auth');
    const username = text(entry, 'username') ?? '';
    // Beside a helper, docker leaves entries that say nothing.
    if (!auth && username === '') continue;
    const pair = auth ? Buffer.from(auth, 'base64').toString() : `${username}:${text(entry, 'password') ?? ''}`;
    const colon = pair.indexOf(':');
    // To go on without it would ask the origin as anybody, and hide what is wrong.
    if (colon < 1)
      throw new Failure('unauthorized', `${where} has an entry for ${key} that holds no user and password`);
    return { kind: 'password', username: pair.slice(0, colon), password: pair.slice(colon + 1) };
  }
  return undefined;
}

function inHome(file: string, home: string): string {
  return file.startsWith('~/') ? join(home, file.slice(2)) : file;
}

async function readSmall(path: string, origin: string): Promise<string> {
  try {
    return await readOnce(path).catch((error: NodeJS.ErrnoException) => {
      // The way to it leads over a link that may have been swapped while it was walked.
      if (error.code === 'ENOENT') return readOnce(path);
      throw error;
    });
  } catch (error) {
    throw new Failure('unauthorized', `${origin}: the credential file ${path} cannot be read`, { cause: error });
  }
}

/** Opened once: what a link leads to may be another file the next moment, and this one is whole. */
async function readOnce(path: string): Promise<string> {
  // A pipe in its place must not hold up whoever waits for an answer.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = await file.stat();
  if (!found.isFile()) throw new Error('it is no file');
  if (found.size > FILE_BYTES_MAX) throw new Error(`larger than ${FILE_BYTES_MAX} bytes`);
  return await file.readFile('utf8');
}
