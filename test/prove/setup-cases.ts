import { chmodSync, chownSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A made-up host, and what setup must come to there. */
export interface Case {
  readonly runtime: 'docker' | 'containerd' | 'podman';
  /** How the file that matters most is written, for people. */
  readonly title: string;
  readonly place: (root: string) => void;
  /** Whether a person has to decide first. */
  readonly isRefused: boolean;
  /** What must hold of a file once it is set up; a file that must not be there is undefined. */
  readonly expected: Readonly<Record<string, ((text: string) => boolean) | undefined>>;
}

type Chance = () => number;

const AGENT = 'http://127.0.0.1:5050';
const FOREIGN = ['https://mirror.example.com', 'http://10.0.0.7:5000'];
const HOSTS = '/etc/containerd/certs.d/_default/hosts.toml';
const MODES = [0o644, 0o644, 0o600, 0o444];

const pick = <T>(chance: Chance, from: readonly T[]): T => from[Math.floor(chance() * from.length)] as T;
const maybe = (chance: Chance, share: number) => chance() < share;

/** Writes a file with an owner, a mode and a time of its own, sometimes behind a link. */
function put(root: string, path: string, text: string, chance: Chance): void {
  const isLink = maybe(chance, 0.15);
  const real = join(root, isLink ? `/srv/config${path}` : path);
  mkdirSync(dirname(real), { recursive: true });
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(real, text);
  chownSync(real, pick(chance, [0, 0, 1000]), pick(chance, [0, 0, 50]));
  chmodSync(real, pick(chance, MODES));
  utimesSync(real, 1_600_000_000 + chance() * 1e8, 1_600_000_000 + chance() * 1e8);
  if (isLink) symlinkSync(`/srv/config${path}`, join(root, path));
}

function program(root: string, name: string, says: string): void {
  const path = join(root, 'usr/bin', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho '${says}'\n`);
  chmodSync(path, 0o755);
}

/** The text with the ends of lines, the mark at its start and the comments that somebody's editor may leave. */
function dressed(text: string, chance: Chance): string {
  const ended = maybe(chance, 0.2) ? text.replaceAll('\n', '\r\n') : text;
  const whole = maybe(chance, 0.2) ? ended.trimEnd() : ended;
  return maybe(chance, 0.1) ? `\uFEFF${whole}` : whole;
}

export function dockerCase(chance: Chance): Case {
  const version = pick(chance, ['20.10.24+dfsg1', '26.1.5', '28.5.2', '29.7.2']);
  const major = Number.parseInt(version, 10);
  const snapshotter = pick(chance, [undefined, true, false]);
  const mirrors = pick(chance, [
    undefined,
    [],
    [FOREIGN[0]],
    FOREIGN,
    [AGENT],
    ['http://localhost:5050/'],
    [...FOREIGN, AGENT],
  ]);
  const settings = {
    ...(maybe(chance, 0.5) && {
      'log-driver': 'json-file',
      'log-opts': { 'max-size': '10m', tag: '{{.Name}} "[x]" \\ ü' },
    }),
    ...(mirrors && maybe(chance, 0.5) && { 'registry-mirrors': mirrors }),
    ...(maybe(chance, 0.4) && { 'insecure-registries': ['10.0.0.0/8'], debug: false, 'max-concurrent-downloads': 6 }),
    ...(snapshotter !== undefined && { features: { 'containerd-snapshotter': snapshotter } }),
    ...(mirrors && !maybe(chance, 0.5) && { 'registry-mirrors': mirrors }),
  };
  const written = JSON.stringify(settings, undefined, pick(chance, ['', ' ', '  ', '    ', '\t']));
  const spaced = maybe(chance, 0.2) ? written.replaceAll(/([[{,])(?=["\d\]])/g, '$1 ') : written;
  const broken = maybe(chance, 0.15) ? brokenJson(spaced, chance) : undefined;
  const isThere = broken !== undefined || maybe(chance, 0.85);
  const text = dressed(`${broken ?? pick(chance, [spaced, spaced, spaced, spaced, '', ' \n'])}\n`, chance);
  const isOdd = isThere && !isObject(text);
  const asked = isThere && text.includes('snapshotter') ? snapshotter : undefined;
  const readsHosts = major >= 28 && asked !== false;
  const needsMirrors = !(readsHosts && asked === true);
  return {
    runtime: 'docker',
    title: `dockerd ${version}, ${isThere ? JSON.stringify(text) : 'no daemon.json'}`,
    place: (root) => {
      program(root, 'dockerd', `Docker version ${version}, build 0000000`);
      if (isThere) put(root, '/etc/docker/daemon.json', text, chance);
      if (maybe(chance, 0.3)) put(root, '/etc/docker/key.json', '{}', chance);
    },
    isRefused: isOdd,
    expected: {
      ...(needsMirrors && { '/etc/docker/daemon.json': (now) => isFirstOf(now, isThere ? text : '') }),
      '/etc/docker/certs.d/_default/hosts.toml': readsHosts ? (now) => now.includes(`[host."${AGENT}"]`) : undefined,
    },
  };
}

function brokenJson(text: string, chance: Chance): string {
  return pick(chance, [
    text.slice(0, Math.max(1, Math.floor(text.length * chance()))),
    text.replace(/\}\s*$/, ',}'),
    `// ours\n${text}`,
    text.replaceAll('"', "'"),
    `[${text}]`,
    `${text}${text}`,
    '"daemon"',
  ]);
}

function parsed(text: string): unknown {
  const plain = text.replace(/^\uFEFF/, '');
  return plain.trim() === '' ? {} : JSON.parse(plain);
}

function isObject(text: string): boolean {
  try {
    const value = parsed(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Ours is there, before what was there, and nothing else is different. */
function isFirstOf(now: string, before: string): boolean {
  const { 'registry-mirrors': held = [], ...others } = parsed(before) as { 'registry-mirrors'?: readonly string[] };
  const { 'registry-mirrors': mirrors, ...rest } = parsed(now) as { 'registry-mirrors': readonly string[] };
  const isOurs = (mirror: string) => /^http:\/\/(?:127\.0\.0\.1|localhost):5050\/?$/.test(mirror);
  const wanted = held.some(isOurs) ? held : [AGENT, ...held];
  return JSON.stringify([wanted, rest]) === JSON.stringify([mirrors, others]);
}

export function containerdCase(chance: Chance): Case {
  const version = pick(chance, [1, 2, 2, 3]);
  const quote = pick(chance, ['"', "'"]);
  const plugin = {
    1: 'cri',
    2: `${quote}io.containerd.grpc.v1.cri${quote}`,
    3: `${quote}io.containerd.cri.v1.images${quote}`,
  }[version];
  const indent = pick(chance, ['', '  ', '\t']);
  const table = `${indent}[plugins.${plugin}.registry]${pick(chance, ['', ' # of hosts'])}\n`;
  const path = pick(chance, [undefined, '', '/etc/containerd/certs.d', '/etc/cri-hosts']);
  const old = maybe(chance, 0.2);
  const line = path === undefined ? '' : `${indent}  config_path = ${quote}${path}${quote} # where\n`;
  const registry = pick(chance, ['', table + line, table + line]);
  const mirrors = `[plugins.${plugin}.registry.mirrors${old ? '."docker.io"]\n  endpoint = ["https://m.example.com"]\n' : ']\n'}`;
  const isListed = registry !== '' && path !== undefined && path !== '';
  const withMirrors = !(isListed && old) && maybe(chance, 0.4);
  const head = version === 1 ? '' : `version = ${version}\n`;
  const comment = '# [plugins.cri.registry]\n#   config_path = "/elsewhere"\n';
  const inner = `\n[plugins.${plugin}]\n  sandbox_image = "pause:3.6" # [x]\n`;
  const written = `${head}${maybe(chance, 0.5) ? comment : ''}oom_score = 0\n${maybe(chance, 0.5) ? inner : ''}\n${registry}${withMirrors ? mirrors : ''}${maybe(chance, 0.5) ? '[debug]\n  level = "info"\n' : ''}`;
  const isBroken = maybe(chance, 0.1);
  const text = dressed(isBroken ? `${written}\n[plugins.\n` : written, chance);
  const isThere = maybe(chance, 0.85);
  const hosts = pick(chance, [
    undefined,
    undefined,
    '[host."https://other.example.com"]\n  capabilities = ["pull"]\n',
    'server = "https://x.example.com"\n',
  ]);
  const root = isThere && isListed ? path : '/etc/containerd/certs.d';
  const isOld = isThere && withMirrors && old && !isListed;
  return {
    runtime: 'containerd',
    title: isThere ? JSON.stringify(text) : 'no config.toml',
    place: (folder) => {
      program(
        folder,
        'containerd',
        `containerd github.com/containerd/containerd ${version === 3 ? '2.1.4' : '1.7.24'} abc`,
      );
      if (isThere) put(folder, '/etc/containerd/config.toml', text, chance);
      if (hosts !== undefined) put(folder, HOSTS, dressed(hosts, chance), chance);
      if (maybe(chance, 0.2))
        put(folder, `${root}/docker.io/hosts.toml`, 'server = "https://registry-1.docker.io"\n', chance);
    },
    isRefused: (isThere && isBroken) || isOld,
    expected: {
      '/etc/containerd/config.toml': (now) => now.includes(root) && (!isThere || !isListed || now === text),
      [`${root}/_default/hosts.toml`]: (now) =>
        now.includes(`[host."${AGENT}"]`) && isKept(now, root === '/etc/containerd/certs.d' ? hosts : ''),
    },
  };
}

/** Every line that was there is there still, in its order. */
function isKept(now: string, before = ''): boolean {
  let from = 0;
  for (const line of before.split('\n')) {
    const at = now.indexOf(line, from);
    if (at < 0) return false;
    from = at + line.length;
  }
  return true;
}

export function podmanCase(chance: Chance): Case {
  const settled = ['docker.io', 'quay.io', 'ghcr.io'].filter(() => maybe(chance, 0.25));
  const prefix = (name: string) => (maybe(chance, 0.5) ? `prefix = "${name}"\n` : '');
  const tables = settled.map((name) => `[[registry]]\n${prefix(name)}location = "${name}" # ours\n`);
  const isOld = maybe(chance, 0.1);
  const isBroken = maybe(chance, 0.1);
  const search = isOld
    ? '[registries.search]\nregistries = ["docker.io"]\n'
    : 'unqualified-search-registries = ["docker.io"]\n\n';
  const own = isOld ? '' : tables.join('\n');
  const text = dressed(`# Our registries.\n${search}${own}${isBroken ? '\n[[registry]\n' : ''}`, chance);
  const isThere = maybe(chance, 0.85);
  const part = maybe(chance, 0.3) ? '[[registry]]\nlocation = "gcr.io"\nblocked = true\n' : undefined;
  const taken = [...(isThere && !isOld ? settled : []), ...(part ? ['gcr.io'] : [])];
  const isFree = (name: string) => !taken.includes(name);
  return {
    runtime: 'podman',
    title: isThere ? JSON.stringify(text) : 'no registries.conf',
    place: (root) => {
      program(root, 'podman', 'podman version 4.3.1');
      if (isThere) put(root, '/etc/containers/registries.conf', text, chance);
      if (part !== undefined)
        put(root, '/etc/containers/registries.conf.d/50-ours.conf', dressed(part, chance), chance);
    },
    isRefused: isThere && (isOld || isBroken),
    expected: {
      '/etc/containers/registries.conf.d/drayage.conf': (now) =>
        ['docker.io', 'quay.io', 'ghcr.io', 'gcr.io', 'registry.k8s.io'].every(
          (name) => now.includes(`location = "127.0.0.1:5050/${name}"`) === isFree(name),
        ),
    },
  };
}
