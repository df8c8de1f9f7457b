import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../doctor/finding.ts';
import { activateProxy, planProxy } from './docker-proxy.ts';
import { isSame, planHosts } from './hosts-toml.ts';
import { addFirst, readJson } from './json-text.ts';
import { refused } from './refusal.ts';
import type { Edit, Host, Plan, Runtime, Target } from './steps.ts';

const FOLDER = '/etc/docker';
const CONFIG = '/etc/docker/daemon.json';
const CERTIFICATES = '/etc/docker/certs.d';
const MIRRORS = 'registry-mirrors';
const SOCKET = '/run/docker.sock';
const PID_FILE = '/run/docker.pid';
const UNITS = [
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/etc/systemd/system',
  '/etc/systemd/system/docker.service.d',
];
/** From this version on, with the containerd image store, hosts.toml counts for every registry. */
const HOSTS_SINCE = 28;
const RELOAD_WAIT_MS = 10_000;
const RELOAD_POLL_MS = 200;

type Store = 'containerd' | 'graphdriver' | 'unknown';

/** dockerd, as far as it can be seen from outside. */
interface Daemon {
  readonly version: string | undefined;
  readonly store: Store;
  readonly isRunning: boolean;
}

/** dockerd: mirrors of Docker Hub in daemon.json, or hosts.toml for every registry where its version reads it. */
export const docker: Runtime = {
  name: 'docker',
  folder: FOLDER,
  programs: ['/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd'],
  dialect: 'default',
  plan,
  activate,
  observe,
  pull,
};

async function plan(target: Target, host: Host): Promise<Plan> {
  const about = 'docker';
  const text = (await host.files.read(CONFIG)) ?? '';
  const daemon = await look(host, readJson(text, CONFIG));
  const major = Number(daemon.version?.split('.', 1)[0] ?? 0);
  const readsHosts = major >= HOSTS_SINCE && daemon.store !== 'graphdriver';
  const needsMirrors = !(readsHosts && daemon.store === 'containerd');
  const findings: Finding[] = [{ about, state: 'good', finding: described(daemon) }];
  const edits: Edit[] = [];
  if (target.proxy) {
    if (!needsMirrors)
      throw refused('this dockerd reads hosts.toml for every registry and needs no proxy: leave --proxy out');
    const behind = await planProxy(target.proxy, host, ['/etc/default/docker', ...(await units(host))]);
    edits.push(...behind.edits);
    findings.push(...behind.findings);
  }
  if (needsMirrors) {
    await refuseFlag(host);
    const url = `http://${target.endpoint}`;
    const held = readJson(text, CONFIG)[MIRRORS];
    const isThere = Array.isArray(held) && held.some((mirror) => typeof mirror === 'string' && isSame(mirror, url));
    edits.push({ path: CONFIG, text: isThere ? text : (addFirst(text, MIRRORS, url, CONFIG) ?? text) });
    if (!readsHosts) findings.push(...mirrorLimits(target).slice(0, target.proxy ? 1 : 2));
  }
  if (!readsHosts) return { edits, findings };
  const hosts = await planHosts(about, target, host, [CERTIFICATES]);
  const limits = [
    'every registry comes through the agent, each request falls back to its origin; private images come from there',
    ...(needsMirrors ? ['should it have the classic image store, which is not known: Docker Hub alone'] : []),
  ];
  findings.push(...limits.map((finding): Finding => ({ about, state: 'good', finding })));
  return { edits: [...edits, ...hosts.edits], findings: [...findings, ...hosts.findings] };
}

function mirrorLimits({ endpoint }: Target): readonly Finding[] {
  const others = `docker pull ${endpoint.replace(/^127\.0\.0\.1(?=:)/, 'localhost')}/ghcr.io/owner/app:1`;
  const limits = [
    'Docker Hub comes through the agent, and from the Hub itself while no agent runs',
    'private images come through the agent where its configuration allows it, else from the Hub',
    `dockerd takes mirrors for Docker Hub only; others by name, without a fallback: ${others}`,
  ];
  return limits.map((finding) => ({ about: 'docker', state: 'good', finding }));
}

function described({ version, store, isRunning }: Daemon): string {
  const name = version === undefined ? 'dockerd of unknown version' : `dockerd ${version}`;
  const kind = { containerd: ', containerd image store', graphdriver: ', classic image store', unknown: '' }[store];
  return `${name}${kind}${isRunning ? '' : ', not running'}`;
}

async function look(host: Host, config: Readonly<Record<string, unknown>>): Promise<Daemon> {
  const socket = SOCKET;
  const answer = (await host.get(socket, '/version')) as { readonly Version?: string } | undefined;
  if (answer?.Version !== undefined) return { version: answer.Version, store: await storeOf(host), isRunning: true };
  const told = (await host.run('dockerd', ['--version'])) ?? '';
  const version = /version (\d+\.\d+[^\s,]*)/.exec(told)?.[1];
  const features = config['features'] as { readonly 'containerd-snapshotter'?: boolean } | undefined;
  const asked = features?.['containerd-snapshotter'];
  const store = asked === undefined ? 'unknown' : asked ? 'containerd' : 'graphdriver';
  return { version, store, isRunning: false };
}

interface Info {
  readonly DriverStatus?: readonly (readonly string[])[];
  readonly RegistryConfig?: { readonly Mirrors?: readonly string[] };
}

async function storeOf(host: Host): Promise<Store> {
  const info = (await host.get(SOCKET, '/info')) as Info | undefined;
  if (!info?.DriverStatus) return 'unknown';
  const kind = info.DriverStatus.find(([name]) => name === 'driver-type')?.[1];
  return kind?.startsWith('io.containerd.snapshotter') ? 'containerd' : 'graphdriver';
}

/** dockerd does not start when a setting is both a flag and in its file. */
async function refuseFlag(host: Host): Promise<void> {
  const pid = (await host.files.read(PID_FILE))?.trim() ?? '';
  const running = /^\d+$/.test(pid) ? [`/proc/${pid}/cmdline`] : [];
  for (const place of [...running, '/etc/default/docker', ...(await units(host))]) {
    const text = ((await host.files.read(place)) ?? '').replaceAll('\0', ' ');
    const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
    if (lines.some((line) => line.includes('--registry-mirror'))) {
      const why = 'dockerd does not start with that flag and registry-mirrors in daemon.json both';
      throw refused(`${place} gives dockerd --registry-mirror: ${why}; move it into ${CONFIG}, and run this again`);
    }
    const [, file] = lines.map((line) => /--config-file[= ](\S+)/.exec(line)).find((found) => found) ?? [];
    if (file !== undefined && file !== CONFIG) {
      throw refused(`${place} has dockerd read ${file}, not ${CONFIG}; add the agent to its registry-mirrors by hand`);
    }
  }
}

async function units(host: Host): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of UNITS) {
    const names = await host.files.list(folder);
    const isOwn = (name: string) => (folder.endsWith('.d') ? name.endsWith('.conf') : name === 'docker.service');
    found.push(...names.filter(isOwn).map((name) => join(folder, name)));
  }
  return found;
}

async function activate(target: Target, changed: readonly string[], host: Host): Promise<readonly Finding[]> {
  return [...(await activateMirrors(target, changed, host)), ...(await activateProxy(target.proxy, changed, host))];
}

async function activateMirrors(
  { endpoint }: Target,
  changed: readonly string[],
  host: Host,
): Promise<readonly Finding[]> {
  const about = 'docker';
  // Behind a link daemon.json has another name; hosts.toml is read at each pull.
  if (changed.every((path) => path.endsWith('/hosts.toml'))) return [];
  const url = `http://${endpoint}`;
  const text = (await host.files.read(CONFIG)) ?? '';
  // A reload puts mirrors in the place of others, and takes none away where the file names none.
  const isGone = readJson(text, CONFIG)[MIRRORS] === undefined;
  if ((await mirrorsSeen(host)) === undefined) {
    const finding = 'no dockerd answers here; it reads the new daemon.json when it starts';
    const advice = `where it runs already: systemctl ${isGone ? 'restart' : 'reload'} docker`;
    return [{ about, state: 'warning', finding, advice }];
  }
  if (isGone) {
    const finding = 'keeps the mirror until it is restarted; while no agent runs it goes to the Hub at once';
    return [{ about, state: 'warning', finding, advice: 'when it suits: systemctl restart docker' }];
  }
  // A reload leaves containers alone, and the daemon itself tells what it read.
  if (!(await reload(host))) {
    const finding = 'has not read the new daemon.json yet';
    return [{ about, state: 'warning', finding, advice: 'systemctl reload docker' }];
  }
  const isWanted = text.includes(url);
  for (const end = Date.now() + RELOAD_WAIT_MS; Date.now() < end; await sleep(RELOAD_POLL_MS)) {
    const mirrors = (await mirrorsSeen(host)) ?? [];
    if (mirrors.some((mirror) => isSame(mirror, url)) !== isWanted) continue;
    const finding = `was reloaded, and names these mirrors: ${mirrors.join(', ') || 'none'}`;
    const builds = 'builds (BuildKit) keep the old list until dockerd is restarted';
    return [{ about, state: 'good', finding: `${finding}; ${builds}` }];
  }
  const finding = 'was told to reload, and still has its old mirrors';
  return [{ about, state: 'bad', finding, advice: 'look at journalctl -u docker, then: systemctl restart docker' }];
}

async function mirrorsSeen(host: Host): Promise<readonly string[] | undefined> {
  const info = (await host.get(SOCKET, '/info')) as Info | undefined;
  return info?.RegistryConfig?.Mirrors;
}

async function observe({ endpoint }: Target, host: Host): Promise<readonly Finding[]> {
  const url = `http://${endpoint}`;
  const mirrors = await mirrorsSeen(host);
  const { [MIRRORS]: meant } = readJson((await host.files.read(CONFIG)) ?? '', CONFIG);
  if (mirrors === undefined || !Array.isArray(meant)) return [];
  const isRead = mirrors.some((mirror) => isSame(mirror, url));
  if (isRead) return [{ about: 'docker', state: 'good', finding: 'the running dockerd names the agent as its mirror' }];
  const finding = 'the running dockerd has not read daemon.json since it names the agent';
  return [{ about: 'docker', state: 'warning', finding, advice: 'systemctl reload docker' }];
}

async function reload(host: Host): Promise<boolean> {
  if ((await host.run('systemctl', ['reload', 'docker'])) !== undefined) return true;
  const pid = Number((await host.files.read(PID_FILE)) ?? Number.NaN);
  if (!Number.isInteger(pid) || (await host.files.read(`/proc/${pid}/comm`))?.trim() !== 'dockerd') return false;
  return host.hangUp(pid);
}

async function pull(image: string, host: Host): Promise<boolean | undefined> {
  if ((await host.get(SOCKET, '/version')) === undefined) return undefined;
  if ((await host.run('docker', ['version'])) === undefined) return undefined;
  const isHere = (await host.run('docker', ['image', 'inspect', image])) !== undefined;
  const isPulled = (await host.run('docker', ['pull', '-q', image])) !== undefined;
  if (isPulled && !isHere) await host.run('docker', ['image', 'rm', image]);
  return isPulled;
}
