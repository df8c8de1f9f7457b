import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST } from './agent.ts';
import type { Client } from './client.ts';
import { commandAt, must, type Result, type Running, run, start, until } from './process.ts';

/** The Debian command line: newer ones build only with a plug-in. */
const DOCKER = '/usr/bin/docker';
const SOCKET_WAIT_MS = 30_000;
/** Images go child before parent, in as many rounds as that takes. */
const WIPE_WAIT_MS = 20_000;

export interface Docker extends Client {
  /** What leads the docker command line to this daemon. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs the docker command line against this daemon. */
  docker(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Result>;
  /** The same, and throws when it fails. */
  mustDocker(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>;
  /** The command line with its environment, for what it does by itself and must do where the daemon is. */
  commandLine(args: readonly string[]): { command: string; args: readonly string[]; env: Record<string, string> };
}

/**
 * Folders that dockerd takes for its own. On a host of several it gets private ones, which go with its namespace, and
 * touches no packet filter.
 */
const ALONE = 'mkdir -p "$0/etc" && mount --bind "$0/etc" /etc/docker && mount -t tmpfs tmpfs /run && exec "$@"';
const ON_A_HOST = ['--bridge=none', '--iptables=false', '--ip6tables=false'];

interface DockerOptions {
  /** Its configuration; the agent as its mirror when nothing is said. */
  readonly settings?: object;
  readonly env?: Readonly<Record<string, string>>;
}

const MIRRORED = { 'registry-mirrors': [`http://${AGENT_HOST}`] };

/**
 * Starts a dockerd of its own. Only ever inside the lab's namespace, or on one of its hosts, behind the words that lead
 * there.
 */
export async function startDocker(
  folder: string,
  authorities: string,
  inside: readonly string[] = [],
  { settings = MIRRORED, env: more = {} }: DockerOptions = {},
): Promise<Docker> {
  const path = (name: string) => join(folder, name);
  mkdirSync(path('exec'), { recursive: true });
  writeFileSync(path('daemon.json'), JSON.stringify(settings));
  const host = `unix://${path('docker.sock')}`;
  const env = { DOCKER_HOST: host, DOCKER_CONFIG: path('cli'), DOCKER_BUILDKIT: '0' };
  const folders = ['--data-root', path('data'), '--exec-root', path('exec'), '--pidfile', path('pid')];
  const isElsewhere = inside.length > 0;
  const alone = isElsewhere ? [...inside, 'unshare', '-m', '--', 'sh', '-c', ALONE, folder] : [];
  const args = ['--config-file', path('daemon.json'), ...folders, '-H', host, ...(isElsewhere ? ON_A_HOST : [])];
  const daemon = await start({
    ...commandAt(alone, 'dockerd', args),
    env: { SSL_CERT_FILE: authorities, ...more },
    log: path('dockerd.log'),
    ready: async () => (await run(DOCKER, ['version'], { env })).code === 0,
    readyWaitMs: SOCKET_WAIT_MS,
  });
  return dockerOf(env, daemon);
}

/** Starts a dockerd that is configured by /etc/docker alone, as a package would. */
export async function startPackagedDocker(folder: string, authorities: string): Promise<Docker> {
  mkdirSync(folder, { recursive: true });
  const env = { DOCKER_CONFIG: join(folder, 'cli') };
  const daemon = await start({
    command: 'dockerd',
    args: [],
    env: { SSL_CERT_FILE: authorities },
    log: join(folder, 'dockerd.log'),
    ready: async () => (await run(DOCKER, ['version'], { env })).code === 0,
    readyWaitMs: SOCKET_WAIT_MS,
  });
  return dockerOf(env, daemon);
}

/** The command line of docker, in front of a daemon. */
function dockerOf(env: Readonly<Record<string, string>>, daemon: Running): Docker {
  const docker: Docker['docker'] = (args, more = {}) => run(DOCKER, args, { env: { ...env, ...more } });
  const mustDocker: Docker['mustDocker'] = (args, more = {}) => must(DOCKER, args, { env: { ...env, ...more } });
  return {
    name: 'dockerd',
    env,
    docker,
    mustDocker,
    commandLine: (args) => ({ command: DOCKER, args, env }),
    pull: async (reference) => void (await mustDocker(['pull', '-q', reference])),
    configDigest: (reference) => mustDocker(['image', 'inspect', '--format', '{{.Id}}', reference]),
    run: (reference) => mustDocker(['run', '--rm', '--network', 'none', reference]),
    wipe: async () => {
      await until('every image to go', WIPE_WAIT_MS, async () => {
        const ids = (await mustDocker(['images', '-aq'])).split('\n').filter((id) => id !== '');
        if (ids.length > 0) await docker(['rmi', '-f', ...new Set(ids)]);
        return ids.length === 0;
      });
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
