import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST } from './agent.ts';
import type { Client } from './client.ts';
import { commandAt, must } from './process.ts';

/** podman, buildah and skopeo, each with the agent as the mirror of docker.io and registry.example.com. */
export function podmanFamily(folder: string, authorities: string): { podman: Client; buildah: Client; skopeo: Client } {
  const { policy, registries, env } = settle(folder, authorities);
  return {
    podman: podman(join(folder, 'podman'), policy, env),
    buildah: buildah(join(folder, 'buildah'), policy, env),
    skopeo: skopeo(join(folder, 'skopeo'), { policy, registries, env }),
  };
}

/** podman, with accounts at registries. */
export interface Podman extends Client {
  /** Runs podman with these arguments, and throws when it fails. */
  podman(args: readonly string[], boundMs?: number): Promise<string>;
  login(registry: string, user: { readonly name: string; readonly password: string }): Promise<void>;
  /** As `podman logout`, without asking. */
  forget(registry: string): void;
}

/** podman alone, which reads what /etc/containers says, as a package would. */
export function packagedPodman(folder: string, authorities: string): Client {
  const {
    policy,
    env: { CONTAINERS_REGISTRIES_CONF: _, ...env },
  } = settle(folder, authorities);
  return podman(join(folder, 'podman'), policy, env);
}

/** podman alone, on the host that these words lead to, with the agent as the mirror of these registries. */
export function podmanOn(
  inside: readonly string[],
  folder: string,
  authorities: string,
  registries: readonly string[] = MIRRORED,
): Podman {
  const { policy, env } = settle(folder, authorities, registries);
  const { REGISTRY_AUTH_FILE: accounts = '' } = env;
  return {
    ...podman(join(folder, 'podman'), policy, env, inside),
    login: async (registry, { name, password }) => {
      const args = ['login', '--tls-verify=false', '-u', name, '-p', password, registry];
      const call = commandAt(inside, 'podman', args);
      await must(call.command, call.args, { env });
    },
    forget: (registry) => {
      const { auths } = JSON.parse(readFileSync(accounts, 'utf8'));
      writeFileSync(accounts, JSON.stringify({ auths: { ...auths, [registry]: undefined } }));
    },
  };
}

/** Copies an image into a folder with an account for this once. */
export async function skopeoCopy(
  inside: readonly string[],
  folder: string,
  { from, credential }: { readonly from: string; readonly credential: string },
): Promise<void> {
  const { policy, env } = settle(folder, '/dev/null');
  const settings = ['--policy', policy, 'copy', '--src-tls-verify=false', '--src-creds', credential];
  const call = commandAt(inside, 'skopeo', [...settings, `docker://${from}`, `dir:${join(folder, 'image')}`]);
  await must(call.command, call.args, { env });
}

const MIRRORED = ['docker.io', 'registry.example.com'];

/** Writes the settings that all of them read. */
function settle(
  folder: string,
  authorities: string,
  mirrored: readonly string[] = MIRRORED,
): { policy: string; registries: string; env: Record<string, string> } {
  mkdirSync(folder, { recursive: true });
  const registries = join(folder, 'registries.conf');
  writeFileSync(registries, registriesConf(mirrored));
  const policy = join(folder, 'policy.json');
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  const accounts = join(folder, 'auth.json');
  writeFileSync(accounts, '{}');
  const env = {
    CONTAINERS_REGISTRIES_CONF: registries,
    REGISTRY_AUTH_FILE: accounts,
    SSL_CERT_FILE: authorities,
    TMPDIR: folder,
  };
  return { policy, registries, env };
}

/** podman takes no longer path than fifty characters here. */
function runRoot(): string {
  return mkdtempSync('/run/containers/');
}

type Environment = Readonly<Record<string, string>>;

function podman(
  folder: string,
  policy: string,
  env: Environment,
  inside: readonly string[] = [],
): Client & Pick<Podman, 'podman'> {
  const roots = ['--root', join(folder, 'root'), '--runroot', runRoot(), '--tmpdir', join(folder, 'tmp')];
  const quiet = [
    '--storage-driver',
    'overlay',
    '--runtime',
    'runc',
    '--cgroup-manager',
    'cgroupfs',
    '--events-backend',
    'none',
  ];
  const podmanBounded = (args: readonly string[], boundMs?: number) => {
    const placed = commandAt(inside, 'podman', [...roots, ...quiet, ...args]);
    return must(placed.command, placed.args, { env, ...(boundMs !== undefined && { boundMs }) });
  };
  const call = (...args: string[]) => podmanBounded(args);
  return {
    name: 'podman',
    podman: podmanBounded,
    pull: async (reference) => void (await call('pull', '-q', '--signature-policy', policy, reference)),
    configDigest: async (reference) => `sha256:${await call('image', 'inspect', '--format', '{{.Id}}', reference)}`,
    run: (reference) => call('run', '--rm', '--network', 'none', reference),
    wipe: async () => void (await call('rmi', '--all', '--force')),
    [Symbol.asyncDispose]: async () => {},
  };
}

function buildah(folder: string, policy: string, env: Environment): Client {
  const roots = ['--root', join(folder, 'root'), '--runroot', runRoot(), '--storage-driver', 'overlay'];
  const call = (...args: string[]) => must('buildah', [...roots, ...args], { env });
  return {
    name: 'buildah',
    pull: async (reference) => void (await call('pull', '-q', '--signature-policy', policy, reference)),
    configDigest: async (reference) => {
      const described = JSON.parse(await call('inspect', '--type', 'image', reference));
      return `sha256:${described.FromImageID}`;
    },
    run: async (reference) => {
      const container = await call('from', '--pull-never', '--signature-policy', policy, reference);
      const command = JSON.parse(await call('inspect', '--type', 'image', reference)).OCIv1.config.Cmd;
      try {
        return await call('run', '--isolation', 'chroot', container, '--', ...command);
      } finally {
        await call('rm', container);
      }
    },
    wipe: async () => void (await call('rmi', '--all', '--force')),
    [Symbol.asyncDispose]: async () => {},
  };
}

function skopeo(
  folder: string,
  { policy, registries, env }: { policy: string; registries: string; env: Environment },
): Client {
  const folderOf = (reference: string) => join(folder, encodeURIComponent(reference));
  return {
    name: 'skopeo',
    pull: async (reference) => {
      mkdirSync(folderOf(reference), { recursive: true });
      const settings = ['--policy', policy, '--registries-conf', registries];
      await must('skopeo', [...settings, 'copy', `docker://${reference}`, `dir:${folderOf(reference)}`], { env });
    },
    configDigest: async (reference) =>
      JSON.parse(readFileSync(join(folderOf(reference), 'manifest.json'), 'utf8')).config.digest,
    run: async () => undefined,
    wipe: async () => rmSync(folder, { recursive: true, force: true }),
    [Symbol.asyncDispose]: async () => {},
  };
}

function registriesConf(origins: readonly string[]): string {
  const lines = ['unqualified-search-registries = ["docker.io"]'];
  for (const origin of origins) {
    lines.push('', '[[registry]]', `prefix = "${origin}"`, `location = "${origin}"`);
    const path = origin.replace(':', '_');
    lines.push('[[registry.mirror]]', `location = "${AGENT_HOST}/${path}"`, 'insecure = true');
  }
  return `${lines.join('\n')}\n`;
}
