import { dirname, join } from 'node:path';
import type { Finding } from '../doctor/finding.ts';
import { planHosts } from './hosts-toml.ts';
import { refused } from './refusal.ts';
import type { Host, Plan, Runtime, Target } from './steps.ts';
import { isTable, readToml, type Table, valueAt, withValue } from './toml-text.ts';

const FOLDER = '/etc/containerd';
const CONFIG = '/etc/containerd/config.toml';
const CERTIFICATES = '/etc/containerd/certs.d';
const CANARY_NAMESPACE = 'drayage-canary';
const IMPORTS_MAX = 64;

/** containerd: hosts.toml for every registry, and the path to it in config.toml where that is not set. */
export const containerd: Runtime = {
  name: 'containerd',
  folder: FOLDER,
  programs: ['/usr/bin/containerd', '/usr/local/bin/containerd'],
  dialect: 'ns',
  plan,
  activate,
  observe,
  pull,
};

/** A file that configures containerd, and where it keeps what CRI is told of registries: that goes by the file's version. */
interface ConfigFile {
  readonly path: string;
  readonly text: string;
  readonly value: Table;
  readonly version: number;
  readonly plugin: readonly string[];
}

async function plan(target: Target, host: Host): Promise<Plan> {
  const about = 'containerd';
  const told = (await host.run('containerd', ['--version'])) ?? '';
  const version = / v?(\d+\.\d+\S*)/.exec(told)?.[1];
  const main = await readConfig(host, CONFIG);
  const name = version === undefined ? 'containerd of unknown version' : `containerd ${version}`;
  const settings = main ? `${CONFIG} of version ${main.version}` : `no ${CONFIG}`;
  const findings: Finding[] = [{ about, state: 'good', finding: `${name}, ${settings}` }];
  const paths = await planConfig(main, host, version);
  findings.push(...paths.findings);
  for (const root of paths.roots.map((path) => dirname(path))) {
    // Where only a part of the host is mounted, what is written elsewhere is written to nobody.
    if (host.files.root === '/' || (await host.files.exists(root))) continue;
    throw refused(
      `containerd looks for hosts below ${root}, which is not below ${host.files.root}: mount it there too`,
    );
  }
  const hosts = await planHosts(about, target, host, paths.roots);
  const limits = [
    'every registry comes through the agent, and each request falls back to the origin',
    'private images come through the agent only where its configuration allows it, else from the origin',
    `ctr reads hosts.toml only with --hosts-dir ${paths.roots.at(-1)}`,
  ];
  findings.push(...limits.map((finding): Finding => ({ about, state: 'good', finding })), ...hosts.findings);
  return { edits: [...paths.edits, ...hosts.edits], findings };
}

async function readConfig(host: Host, path: string): Promise<ConfigFile | undefined> {
  const text = await host.files.read(path);
  if (text === undefined) return undefined;
  const value = readToml(text, path);
  const version = Number(value['version'] ?? 1);
  return { path, text, value, version, plugin: pluginOf(version) };
}

function pluginOf(version: number): readonly string[] {
  if (version === 1) return ['plugins', 'cri'];
  return ['plugins', version === 2 ? 'io.containerd.grpc.v1.cri' : 'io.containerd.cri.v1.images'];
}

/** The folders in which containerd looks for hosts, set where they are not. */
async function planConfig(
  main: ConfigFile | undefined,
  host: Host,
  version: string | undefined,
): Promise<Plan & { readonly roots: readonly string[] }> {
  const about = 'containerd';
  if (!main) return { ...set(undefined), roots: [CERTIFICATES] };
  const disabled = main.value['disabled_plugins'];
  if (
    Array.isArray(disabled) &&
    disabled.some((plugin) => plugin === 'cri' || plugin === 'io.containerd.grpc.v1.cri')
  ) {
    const finding = `${CONFIG} switches CRI off, as it is where only dockerd uses containerd: no config_path is needed`;
    const advice = 'for dockerd: drayage setup docker';
    return { edits: [], findings: [{ about, state: 'warning', finding, advice }], roots: [CERTIFICATES] };
  }
  const file = (await importedCri(main, host)) ?? main;
  const registry = valueAt(file.value, [...file.plugin, 'registry']);
  const configured = valueAt(registry, ['config_path']);
  if (typeof configured === 'string' && configured !== '') {
    const roots = configured.split(':').filter((root) => root !== '');
    return roots.length > 1 && isSecond(file, version)
      ? { ...(await oneRoot(file, roots, host)) }
      : { edits: [], findings: [], roots };
  }
  refuseOldMirrors(file, registry);
  if (file !== main) {
    const how = `put config_path = "${CERTIFICATES}" under [${header(file)}] there`;
    throw refused(`${file.path}, which ${CONFIG} imports, settles CRI, and sets no config_path: ${how}`);
  }
  return { ...set(main), roots: [CERTIFICATES] };
}

/** The last imported file that says anything of CRI: it replaces what the others say. */
async function importedCri(main: ConfigFile, host: Host): Promise<ConfigFile | undefined> {
  const patterns = main.value['imports'];
  if (!Array.isArray(patterns)) return undefined;
  let found: ConfigFile | undefined;
  for (const pattern of patterns.filter((item) => typeof item === 'string').slice(0, IMPORTS_MAX)) {
    const path = pattern.startsWith('/') ? pattern : join(FOLDER, pattern);
    const start = path.slice(dirname(path).length + 1);
    const fits = new RegExp(
      `^${start
        .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
    for (const name of (await host.files.list(dirname(path))).filter((candidate) => fits.test(candidate))) {
      const file = await readConfig(host, join(dirname(path), name));
      if (file && isTable(valueAt(file.value, file.plugin))) found = file;
    }
  }
  return found;
}

/** containerd does not load CRI when both are set. */
function refuseOldMirrors(file: ConfigFile, registry: unknown): void {
  const mirrors = valueAt(registry, ['mirrors']);
  const configs = valueAt(registry, ['configs']);
  const old = [
    ...(isTable(mirrors) && Object.keys(mirrors).length > 0 ? ['registry.mirrors'] : []),
    ...(isTable(configs) && Object.values(configs).some((config) => valueAt(config, ['tls']) !== undefined)
      ? ['registry.configs with tls']
      : []),
  ];
  if (old.length === 0) return;
  const how = `move them to hosts.toml files below ${CERTIFICATES} and set config_path to it, then run this again`;
  throw refused(
    `${file.path} has ${old.join(' and ')}, which containerd does not take together with config_path: ${how}`,
  );
}

/** From 2.1 on, CRI may take a list of folders for the name of one, and then finds no hosts.toml at all. */
function isSecond({ version }: ConfigFile, program: string | undefined): boolean {
  return program === undefined ? version >= 3 : Number(program.split('.', 1)[0]) >= 2;
}

async function oneRoot(
  file: ConfigFile,
  roots: readonly string[],
  host: Host,
): Promise<Plan & { readonly roots: readonly string[] }> {
  const used: string[] = [];
  for (const root of roots) if ((await host.files.list(root)).length > 0) used.push(root);
  const [root = roots[0] ?? CERTIFICATES, ...more] = used;
  const why = `containerd 2 may read the list ${roots.join(':')} of config_path as one name, and find nothing`;
  if (more.length > 0)
    throw refused(`${why}: bring what is in them together in one folder, and name that in ${file.path}`);
  const text = withValue(file.text, [...file.plugin, 'registry'], 'config_path', root);
  if (text === undefined) throw refused(`${why}: name ${root} alone under [${header(file)}] in ${file.path}`);
  const finding = `${why}; ${root} is named alone now`;
  return {
    edits: [{ path: file.path, text }],
    findings: [{ about: 'containerd', state: 'good', finding }],
    roots: [root],
  };
}

function set(main: ConfigFile | undefined): Plan {
  // Every version since 1.4 reads a file of version 2, so nothing has to be known of the program.
  const file = main ?? { path: CONFIG, text: 'version = 2\n', plugin: pluginOf(2) };
  const text = withValue(file.text, [...file.plugin, 'registry'], 'config_path', CERTIFICATES);
  if (text === undefined) {
    throw refused(
      `${CONFIG} is written in a way that only you can change: put config_path = "${CERTIFICATES}" under [${header(file)}]`,
    );
  }
  return { edits: [{ path: CONFIG, text }], findings: [] };
}

function header({ plugin: [plugins = '', plugin = ''] }: Pick<ConfigFile, 'plugin'>): string {
  return `${plugins}.${plugin.includes('.') ? `"${plugin}"` : plugin}.registry`;
}

async function activate(target: Target, changed: readonly string[], host: Host): Promise<readonly Finding[]> {
  const about = 'containerd';
  if (!changed.some((path) => path.endsWith('.toml') && !path.endsWith('/hosts.toml'))) {
    return [{ about, state: 'good', finding: 'reads hosts.toml at each pull: nothing has to be restarted' }];
  }
  // Restarting it on a node of a cluster is for whoever runs the cluster to time.
  const finding = 'reads the new config.toml only when it is restarted; containers go on running meanwhile';
  const findings: Finding[] = [{ about, state: 'warning', finding, advice: 'systemctl restart containerd' }];
  return [...findings, ...(await observe(target, host))];
}

/** What this containerd makes of its files, imports and all. */
async function observe(_target: Target, host: Host): Promise<readonly Finding[]> {
  const about = 'containerd';
  const dumped = await host.run('containerd', ['--config', CONFIG, 'config', 'dump']);
  if (dumped === undefined) return [];
  const dump = readToml(dumped, 'containerd config dump');
  const seen = valueAt(dump, [...pluginOf(Number(dump['version'] ?? 1)), 'registry', 'config_path']);
  if (typeof seen === 'string' && seen !== '')
    return [{ about, state: 'good', finding: `reads config_path = "${seen}"` }];
  return [{ about, state: 'warning', finding: 'reads no config_path, so no hosts.toml', advice: `look at ${CONFIG}` }];
}

async function pull(image: string, host: Host): Promise<boolean | undefined> {
  const ctr = (...args: readonly string[]) => host.run('ctr', ['-n', CANARY_NAMESPACE, ...args]);
  if ((await host.run('ctr', ['version'])) === undefined) return undefined;
  const main = await readConfig(host, CONFIG);
  const configured = main && valueAt(main.value, [...main.plugin, 'registry', 'config_path']);
  const roots = typeof configured === 'string' && configured !== '' ? configured.split(':') : [CERTIFICATES];
  const isPulled = (await ctr('content', 'fetch', '--hosts-dir', roots.at(-1) ?? CERTIFICATES, image)) !== undefined;
  await ctr('images', 'rm', '--sync', image);
  await host.run('ctr', ['namespaces', 'rm', CANARY_NAMESPACE]);
  return isPulled;
}
