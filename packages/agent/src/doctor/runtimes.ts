import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from './finding.ts';

interface Runtime {
  readonly name: string;
  readonly programs: readonly string[];
  /** Files, or folders of files, that may point it at a mirror. */
  readonly places: readonly string[];
  readonly advice: (endpoint: string) => string;
}

const CONFIG_BYTES_MAX = 1024 * 1024;
const FILES_MAX = 256;

const RUNTIMES: readonly Runtime[] = [
  {
    name: 'docker',
    programs: ['usr/bin/dockerd', 'usr/sbin/dockerd', 'usr/local/bin/dockerd'],
    places: ['etc/docker/daemon.json', 'etc/docker/certs.d'],
    advice: (endpoint) =>
      `put "registry-mirrors": ["http://${endpoint}"] into /etc/docker/daemon.json, then: systemctl reload docker`,
  },
  {
    name: 'containerd',
    programs: ['usr/bin/containerd', 'usr/local/bin/containerd'],
    places: ['etc/containerd/certs.d'],
    advice: (endpoint) =>
      `put [host."http://${endpoint}"] with capabilities = ["pull", "resolve"] into /etc/containerd/certs.d/_default/hosts.toml, and set config_path to /etc/containerd/certs.d in /etc/containerd/config.toml`,
  },
  {
    name: 'podman',
    programs: ['usr/bin/podman', 'usr/local/bin/podman'],
    places: ['etc/containers/registries.conf', 'etc/containers/registries.conf.d'],
    advice: (endpoint) =>
      `add a [[registry.mirror]] with location = "${endpoint}/docker.io" and insecure = true in /etc/containers/registries.conf.d`,
  },
];

/** Looks whether the runtimes of this machine pull through the endpoint. Files are looked for below `root`. */
export async function checkRuntimes(root: string, endpoint: string): Promise<readonly Finding[]> {
  const findings = await Promise.all(RUNTIMES.map((runtime) => checkRuntime(runtime, root, endpoint)));
  const present = findings.flatMap((finding) => finding ?? []);
  if (present.length > 0) return present;
  return [{ about: 'runtimes', state: 'warning', finding: 'neither docker, containerd nor podman is installed here' }];
}

async function checkRuntime(runtime: Runtime, root: string, endpoint: string): Promise<Finding | undefined> {
  const { name: about, programs, places, advice } = runtime;
  const installed = await Promise.all(programs.map((program) => exists(join(root, program))));
  if (!installed.includes(true)) return undefined;
  const port = endpoint.slice(endpoint.lastIndexOf(':'));
  const names = [endpoint, `localhost${port}`, `127.0.0.1${port}`, `[::1]${port}`];
  const unreadable: string[] = [];
  for (const file of await filesOf(places.map((place) => join(root, place)))) {
    const text = await readText(file);
    if (text === undefined) unreadable.push(file);
    else if (names.some((name) => pointsAt(text, name)))
      return { about, state: 'good', finding: `${file} points at the agent` };
  }
  if (unreadable.length > 0) {
    const finding = `${unreadable.join(', ')} cannot be read, so it is not known whether it points at the agent`;
    return { about, state: 'warning', finding, advice: 'run this again as root' };
  }
  return { about, state: 'warning', finding: 'it does not pull through the agent', advice: advice(endpoint) };
}

/** The address in a line that is no comment, and not as the start of a longer port. */
function pointsAt(text: string, address: string): boolean {
  const lines = text.split('\n').filter((line) => !/^\s*(?:#|\/\/)/.test(line));
  return lines.some((line) => {
    const at = line.indexOf(address);
    return at >= 0 && !/^\d/.test(line.slice(at + address.length));
  });
}

async function filesOf(places: readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for (const place of places) {
    const found = await stat(place).catch(() => undefined);
    if (found?.isFile()) files.push(place);
    if (!found?.isDirectory()) continue;
    const entries = await readdir(place, { recursive: true, withFileTypes: true }).catch(() => []);
    files.push(...entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)));
  }
  return files.filter((file) => /\.(?:json|toml|conf)$/.test(file)).slice(0, FILES_MAX);
}

async function readText(file: string): Promise<string | undefined> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  return size > CONFIG_BYTES_MAX ? undefined : readFile(file, 'utf8').catch(() => undefined);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
