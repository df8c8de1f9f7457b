import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AGENT_HOST, type AgentOptions, HERE } from './agent.ts';
import type { Docker } from './docker.ts';
import { must } from './process.ts';
import { type File, tar } from './tar.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const STAND_IN = 'stand-in:1';
const BUILD_WAIT_MS = 120_000;
/** What the image is built with needs these of a shell. */
const APPLETS = ['sh', 'mkdir', 'cp', 'sed', 'ln'];
/** Address families that the unit lets the agent open sockets of, by their numbers in Linux. */
const FAMILIES: Readonly<Record<string, number>> = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16 };

/**
 * Builds the image as deploy/Dockerfile says, and returns the folder of the bundle in it. Both images that it begins with
 * have a stand-in: this Node, what it needs of this machine, and a shell. The bundle is made before, so the build needs
 * no network.
 */
export async function buildImage(docker: Docker, folder: string, name: string): Promise<string> {
  const bundle = join(ROOT, 'dist');
  await must(process.execPath, [join(ROOT, 'scripts/bundle.ts')], { boundMs: BUILD_WAIT_MS });
  const base = join(folder, 'stand-in.tar');
  writeFileSync(base, tar(await standIn(bundle)));
  await docker.mustDocker(['import', base, STAND_IN]);
  const args = [`NODE=${STAND_IN}`, `BASE=${STAND_IN}`, 'BUNDLE=ready'].flatMap((arg) => ['--build-arg', arg]);
  const file = ['-f', join(ROOT, 'deploy/Dockerfile')];
  await docker.mustDocker(['build', '-q', '--network', 'none', ...args, ...file, '-t', name, ROOT]);
  return bundle;
}

/** Makes an image of Debian's docker-registry, in the place of the one that compose.yaml names. */
export async function importRegistry(docker: Docker, folder: string, name: string): Promise<void> {
  const program = await must('sh', ['-c', 'command -v docker-registry']);
  const settings = {
    version: 0.1,
    storage: { filesystem: { rootdirectory: '/var/lib/registry' } },
    http: { addr: ':5000' },
  };
  const files: File[] = [
    { path: 'config.yml', mode: 0o644, bytes: Buffer.from(JSON.stringify(settings)) },
    ...[program, ...(await librariesOf([program]))].map((path) => {
      return { path: path.slice(1), mode: 0o755, bytes: readFileSync(path) };
    }),
  ];
  const archive = join(folder, 'registry.tar');
  writeFileSync(archive, tar(files));
  const command = JSON.stringify([program, 'serve', '/config.yml']);
  const changes = ['--change', `CMD ${command}`, '--change', 'ENV OTEL_TRACES_EXPORTER=none'];
  await docker.mustDocker(['import', ...changes, archive, name]);
}

async function standIn(bundle: string): Promise<readonly File[]> {
  const busybox = readFileSync('/bin/busybox');
  const libraries = await librariesOf([process.execPath, join(bundle, `blake.linux-${process.arch}-gnu.node`)]);
  return [
    { path: 'usr/local/bin/node', mode: 0o755, bytes: readFileSync(realpathSync(process.execPath)) },
    ...APPLETS.map((name) => ({ path: `bin/${name}`, mode: 0o755, bytes: busybox })),
    ...libraries.map((path) => ({ path: path.slice(1), mode: 0o755, bytes: readFileSync(path) })),
  ];
}

async function librariesOf(programs: readonly string[]): Promise<readonly string[]> {
  const told = await must('ldd', programs);
  return [...new Set(told.match(/(?<=\s)\/\S+(?= \(0x)/g) ?? [])];
}

/** How a container runs in the proofs: as the Dockerfile says, on the network of the lab. */
export function runOptions(name: string, more: readonly string[]): readonly string[] {
  const locks = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
  const health = ['--health-interval', '2s', '--stop-timeout', '40'];
  return ['--name', name, ...locks, ...health, '--network', 'host', '-e', `DRAYAGE_LISTEN=${AGENT_HOST}`, ...more];
}

const PRIVATE_DISK = `
  set -e
  mount -t tmpfs -o mode=755 tmpfs /mnt
  mkdir /mnt/bundle /mnt/data && touch /mnt/node && chown 65532:65532 /mnt/data
  mount --bind "$1" /mnt/bundle
  mount --bind "$2" /mnt/node
  shift 2
  mount -o remount,ro,bind /
  mount -t proc -o subset=pid,hidepid=invisible proc /proc
  cd /
  exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    env -i PATH=/mnt:/usr/bin "$@"
`;

/**
 * The mounts and the user of the unit: a disk to read from, a folder to write to, the processes alone in /proc, and
 * nothing known of the user. Beside what it runs stands a bare Node.
 */
export function sandboxOf(bundle: string): Pick<AgentOptions, 'place' | 'command' | 'data'> {
  const inside = ['unshare', '-m', 'sh', '-c', PRIVATE_DISK, 'sh', bundle, realpathSync(process.execPath)];
  return { place: { ...HERE, inside }, command: '/mnt/bundle/drayage.mjs', data: '/mnt/data' };
}

/** The unit's system calls and address families as a seccomp profile, so that they are enforced where no systemd runs. */
export async function profileOfUnit(): Promise<object> {
  const unit = readFileSync(join(ROOT, 'deploy/drayage.service'), 'utf8');
  const words = (name: string) => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, text = '']) => text);
  const sets = await systemCallSets();
  const allowed = new Set<string>();
  for (const line of words('SystemCallFilter')) {
    const calls = line
      .replace('~', '')
      .split(' ')
      .flatMap((word) => expand(word, sets));
    for (const call of calls) line.startsWith('~') ? allowed.delete(call) : allowed.add(call);
  }
  const families = words('RestrictAddressFamilies').flatMap((line) => line.split(' '));
  allowed.delete('socket');
  const action = 'SCMP_ACT_ALLOW';
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [
      { names: [...allowed], action },
      ...families.map((family) => {
        const value = FAMILIES[family];
        if (value === undefined) throw new Error(`no number is known for ${family}`);
        return { names: ['socket'], action, args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }] };
      }),
    ],
  };
}

type Sets = ReadonlyMap<string, readonly string[]>;

async function systemCallSets(): Promise<Sets> {
  const text = await must('systemd-analyze', ['syscall-filter', '--no-pager']);
  const blocks = text.split(/\n(?=@)/).map((block) => block.split('\n').map((line) => line.trim()));
  return new Map(blocks.map(([name = '', ...lines]) => [name, lines.filter((line) => /^@?[a-z]/.test(line))]));
}

function expand(word: string, sets: Sets): readonly string[] {
  if (!word.startsWith('@')) return [word];
  const set = sets.get(word);
  if (set === undefined) throw new Error(`systemd knows no system calls by the name of ${word}`);
  return set.flatMap((inner) => expand(inner, sets));
}
