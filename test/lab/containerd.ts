import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST } from './agent.ts';
import type { Client } from './client.ts';
import { callCri } from './cri.ts';
import { commandAt, must, start } from './process.ts';

/** How a registry's hosts.toml sends containerd to the agent. */
interface HostsFile {
  readonly server?: string;
  /** The agent's address; a path goes with `overridePath`. */
  readonly path?: string;
  readonly capabilities?: readonly string[];
  readonly overridePath?: boolean;
}

/** A containerd, by each of its doors. */
export interface Clients extends AsyncDisposable {
  readonly ctr: Client;
  readonly cri: Client;
  /** Runs ctr with these arguments, and throws when it fails. */
  run(...args: readonly string[]): Promise<string>;
  /** The same two with a credential, written `name:password`. */
  as(login: string): Pick<Clients, 'ctr' | 'cri'>;
}

export interface Containerd extends Clients {
  /** Replaces the mirror settings of all registries by these: a folder name such as docker.io or _default for each. */
  mirrors(files: Readonly<Record<string, HostsFile>>): void;
}

const HUB: HostsFile = { server: 'https://registry-1.docker.io' };

/** Starts a containerd of its own, here or behind the words that lead to a host, with the agent as docker.io's mirror. */
export async function startContainerd(
  folder: string,
  authorities: string,
  inside: readonly string[] = [],
): Promise<Containerd> {
  const path = (name: string) => join(folder, name);
  mkdirSync(folder, { recursive: true });
  const socket = path('containerd.sock');
  const hosts = path('certs.d');
  writeFileSync(path('config.toml'), configOf(path, socket, hosts));
  const mirrors: Containerd['mirrors'] = (files) => {
    rmSync(hosts, { recursive: true, force: true });
    for (const [name, file] of Object.entries(files)) {
      mkdirSync(join(hosts, name), { recursive: true });
      writeFileSync(join(hosts, name, 'hosts.toml'), hostsToml(file));
    }
  };
  mirrors({ 'docker.io': HUB });
  return {
    ...(await startWith(['--config', path('config.toml')], { folder, authorities, socket, hosts, inside })),
    mirrors,
  };
}

/** Starts a containerd that is configured by /etc/containerd alone, as a package would. */
export async function startPackagedContainerd(folder: string, authorities: string): Promise<Clients> {
  mkdirSync(folder, { recursive: true });
  const socket = '/run/containerd/containerd.sock';
  return startWith([], { folder, authorities, socket, hosts: '/etc/containerd/certs.d', inside: [] });
}

interface Place {
  readonly folder: string;
  readonly authorities: string;
  readonly socket: string;
  readonly hosts: string;
  readonly inside: readonly string[];
}

async function startWith(
  args: readonly string[],
  { folder, authorities, socket, hosts, inside }: Place,
): Promise<Clients> {
  const env = { SSL_CERT_FILE: authorities };
  // ctr fetches by itself, so it has to run where containerd does.
  const ctr = (words: readonly string[]) => {
    const call = commandAt(inside, 'ctr', ['-a', socket, ...words]);
    return must(call.command, call.args, { env });
  };
  const daemon = await start({
    ...commandAt(inside, 'containerd', args),
    env,
    log: join(folder, 'containerd.log'),
    ready: async () => (await ctr(['version'])) !== '',
  });
  const clientsOf = (login?: string): Pick<Clients, 'ctr' | 'cri'> => {
    const user = login === undefined ? [] : ['-u', login];
    const pull = async (reference: string) =>
      void (await ctr(['images', 'pull', '--hosts-dir', hosts, '--platform', 'linux/amd64', ...user, reference]));
    const pullByCri = async (reference: string) => void (await callCri(socket, 'PullImage', reference, login));
    return { ctr: clientOf('ctr', 'default', ctr, pull), cri: clientOf('cri', 'k8s.io', ctr, pullByCri) };
  };
  return {
    ...clientsOf(),
    as: clientsOf,
    run: (...words) => ctr(words),
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

function clientOf(
  name: string,
  namespace: string,
  ctr: (args: readonly string[]) => Promise<string>,
  pull: Client['pull'],
): Client {
  const here = (...args: string[]) => ctr(['-n', namespace, ...args]);
  let containers = 0;
  return {
    name,
    pull,
    configDigest: async (reference) => {
      const rows = (await here('images', 'ls', `name==${reference}`)).split('\n');
      const digest = /sha256:[0-9a-f]{64}/.exec(rows[1] ?? '')?.[0];
      if (digest === undefined) throw new Error(`${name} does not hold ${reference}`);
      let document = JSON.parse(await here('content', 'get', digest));
      if (document.manifests) {
        const own = document.manifests.find((entry: Platformed) => entry.platform?.architecture === 'amd64');
        document = JSON.parse(await here('content', 'get', own.digest));
      }
      return document.config.digest;
    },
    run: (reference) => here('run', '--rm', reference, `hello-${++containers}`),
    wipe: async () => {
      const names = (await here('images', 'ls', '-q')).split('\n').filter((line) => line !== '');
      if (names.length > 0) await here('images', 'rm', '--sync', ...names);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

interface Platformed {
  readonly digest: string;
  readonly platform?: { readonly architecture?: string };
}

function hostsToml({ server, path = '', capabilities = ['pull', 'resolve'], overridePath }: HostsFile): string {
  const lines = [`[host."http://${AGENT_HOST}${path}"]`, `  capabilities = ${JSON.stringify(capabilities)}`];
  if (server !== undefined) lines.unshift(`server = "${server}"`, '');
  if (overridePath) lines.push('  override_path = true');
  return `${lines.join('\n')}\n`;
}

function configOf(path: (name: string) => string, socket: string, hosts: string): string {
  return [
    'version = 2',
    `root = "${path('root')}"`,
    `state = "${path('state')}"`,
    '[grpc]',
    `  address = "${socket}"`,
    '[plugins."io.containerd.grpc.v1.cri".registry]',
    `  config_path = "${hosts}"`,
    '[plugins."io.containerd.internal.v1.opt"]',
    `  path = "${path('opt')}"`,
    '',
  ].join('\n');
}
