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

/** podman alone, on the host that these words lead to. */
export function podmanOn(inside: readonly string[], folder: string, authorities: string): Client {
  const { policy, env } = settle(folder, authorities);
  return podman(join(folder, 'podman'), policy, env, inside);
}

/** podman alone, which reads what /etc/containers says, as a package would. */
export function packagedPodman(folder: string, authorities: string): Client {
  const {
    policy,
    env: { CONTAINERS_REGISTRIES_CONF: _, ...env },
  } = settle(folder, authorities);
  return podman(join(folder, 'podman'), policy, env);
}

/** Writes the settings that all of them read. */
function settle(
  folder: string,
  authorities: string,
): { policy: string; registries: string; env: Record<string, string> } {
  mkdirSync(folder, { recursive: true });
  const registries = join(folder, 'registries.conf');
  writeFileSync(registries, registriesConf(['docker.io', 'registry.example.com']));
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

function podman(folder: string, policy: string, env: Environment, inside: readonly string[] = []): Client {
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
  const call = (...args: string[]) => {
    const placed = commandAt(inside, 'podman', [...roots, ...quiet, ...args]);
    return must(placed.command, placed.args, { env });
  };
  return {
    name: 'podman',
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
    lines.push('[[registry.mirror]]', `location = "${AGENT_HOST}/${origin}"`, 'insecure = true');
  }
  return `${lines.join('\n')}\n`;
}
