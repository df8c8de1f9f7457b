import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const INSIDE = 'LAB_FOLDER';

/** Folders of the machine that the runtimes under test must not touch: each gets a private stand-in, and so does /run. */
const PRIVATE_FOLDERS = ['/etc/docker', '/etc/containerd', '/var/lib/containers'];

/**
 * Addresses of the made-up registries. They lie outside 127/8, because dockerd takes every name that resolves into
 * 127/8 for an insecure registry.
 */
export const HUB_ADDRESS = '10.99.0.10';
export const EXAMPLE_ADDRESS = '10.99.0.20';
/** Where tokens for registry.example.com come from. */
export const AUTH_ADDRESS = '10.99.0.30';

const HOSTS = [
  '127.0.0.1 localhost',
  '::1 localhost',
  `${HUB_ADDRESS} registry-1.docker.io docker.io index.docker.io`,
  `${EXAMPLE_ADDRESS} registry.example.com`,
  `${AUTH_ADDRESS} auth.example.com`,
  '',
].join('\n');

/**
 * A shell is the first process of the namespace: it reaps the orphans that daemons leave, and when it ends the kernel
 * ends everything else inside, so nothing outlives a run.
 */
const FIRST_PROCESS = `
  set -e
  root=$1; shift
  ip link set lo up
  ip address add ${HUB_ADDRESS}/32 dev lo
  ip address add ${EXAMPLE_ADDRESS}/32 dev lo
  ip address add ${AUTH_ADDRESS}/32 dev lo
  for folder in ${PRIVATE_FOLDERS.join(' ')}; do
    mkdir -p "$root$folder"
    mount --bind "$root$folder" "$folder"
  done
  mount --bind "$root/hosts" /etc/hosts
  mount -t tmpfs tmpfs /run
  mkdir -p /run/lock /run/containers
  set +e
  "$@"
  code=$?
  exit $code
`;

/** Ends this process with the result of the same program inside a private namespace; returns only when already inside. */
export function enterNamespace(packages: string): void {
  if (process.env[INSIDE] !== undefined) return;
  if (process.getuid?.() !== 0) {
    refuse(
      `needs root, for private network, mount and process namespaces. Try: sudo npm run ${process.env['npm_lifecycle_event'] ?? 'test:system'}`,
    );
  }
  if (spawnSync('unshare', ['--version']).error || spawnSync('ip', ['-V']).error) {
    refuse(`needs unshare and ip. Try: apt-get install -y ${packages}`);
  }
  const root = mkdtempSync(join(tmpdir(), 'drayage-lab-'));
  mkdirSync(join(root, 'work'));
  writeFileSync(join(root, 'hosts'), HOSTS);
  const made = PRIVATE_FOLDERS.filter((folder) => !existsSync(folder));
  for (const folder of made) mkdirSync(folder, { recursive: true });
  const unshare = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', [...unshare, 'sh', '-c', FIRST_PROCESS, 'sh', root, ...program], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: join(root, 'work') },
  });
  for (const folder of made) if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
  if (process.env['KEEP'] === undefined) rmSync(root, { recursive: true, force: true });
  else console.log(`kept ${root}`);
  process.exit(status ?? 1);
}

/** The folder that everything inside the namespace works in. */
export function labFolder(): string {
  const folder = process.env[INSIDE];
  if (folder === undefined) throw new Error('the lab works only inside its namespace');
  return folder;
}

function refuse(why: string): never {
  console.log(`skipped: ${why}`);
  process.exit(process.env['CI'] ? 1 : 0);
}
