import { join } from 'node:path';
import type { Finding } from '../doctor/finding.ts';
import { refused } from './refusal.ts';
import type { Host, Plan, Runtime, Target } from './steps.ts';
import { isTable, readToml, type Table } from './toml-text.ts';

const FOLDER = '/etc/containers';
const MAIN = '/etc/containers/registries.conf';
const PARTS = '/etc/containers/registries.conf.d';
const OWN = '/etc/containers/registries.conf.d/drayage.conf';
const NOTE = '# Written by drayage setup podman; its --undo takes it away. podman, buildah, skopeo and CRI-O read it.';

/** podman and all that read registries.conf: one mirror for each registry, the origin spelled in its path. */
export const podman: Runtime = {
  name: 'podman',
  folder: FOLDER,
  programs: ['podman', 'crio', 'buildah', 'skopeo'].flatMap((name) => [`/usr/bin/${name}`, `/usr/local/bin/${name}`]),
  dialect: 'prefix',
  plan,
  activate,
  observe: async () => [],
  pull,
};

async function plan(target: Target, host: Host): Promise<Plan> {
  const about = 'podman';
  const findings: Finding[] = [];
  const version = /version (\S+)/.exec((await host.run('podman', ['--version'])) ?? '')?.[1];
  if (version !== undefined) findings.push({ about, state: 'good', finding: `podman ${version}` });
  const settled = await settledRegistries(host);
  const isOurs = (origin: string) => settled.get(origin)?.text.includes(`${target.endpoint}/`) ?? false;
  for (const origin of target.origins) {
    const elsewhere = settled.get(origin);
    if (!elsewhere || isOurs(origin)) continue;
    const finding = `${elsewhere.path} settles ${origin} itself; it does not come through the agent`;
    const mirror = `location = "${mirrorOf(target, origin)}" and insecure = true`;
    findings.push({ about, state: 'warning', finding, advice: `add [[registry.mirror]] with ${mirror} to it there` });
  }
  const added = target.origins.filter((origin) => !settled.has(origin));
  const through = [...added, ...target.origins.filter(isOurs)];
  if (through.length === 0) throw refused(`none of ${target.origins.join(', ')} can be set: others settle them all`);
  const limits = [
    `${through.join(', ')} come through the agent, and from the origin while no agent runs`,
    'a registry that the agent learns of later needs this command again',
    'once the agent has given the manifest, the rest comes through it too: podman does not change over in the middle',
    'private images: podman login by path, or from the origin',
  ];
  findings.push(...limits.map((finding): Finding => ({ about, state: 'good', finding })));
  if (added.length === 0) return { edits: [], findings };
  const pairs = added.map(
    (origin) =>
      `[[registry]]\nlocation = "${origin}"\n[[registry.mirror]]\nlocation = "${mirrorOf(target, origin)}"\ninsecure = true\n`,
  );
  const before = await host.files.read(OWN);
  // A file of this name that somebody wrote by hand keeps what it says.
  const head = before === undefined ? NOTE : before.trimEnd();
  return { edits: [{ path: OWN, text: `${head}\n\n${pairs.join('\n')}` }], findings };
}

/** A port cannot stand in a path. */
function mirrorOf({ endpoint }: Target, origin: string): string {
  return `${endpoint}/${origin.replace(':', '_')}`;
}

/** Which file says what of each registry: one that is read later replaces what one before it says. */
async function settledRegistries(
  host: Host,
): Promise<ReadonlyMap<string, { readonly path: string; readonly text: string }>> {
  const names = (await host.files.list(PARTS)).filter((name) => name.endsWith('.conf'));
  const paths = [MAIN, ...names.map((name) => join(PARTS, name))];
  const settled = new Map<string, { path: string; text: string }>();
  for (const path of paths) {
    const text = (await host.files.read(path)) ?? '';
    const value = readToml(text, path);
    if (isTable(value['registries'])) {
      throw refused(
        `${path} has the old form ([registries.search] and the like), which takes no mirrors: rewrite it as [[registry]]`,
      );
    }
    for (const registry of tablesOf(value['registry'])) {
      const name = registry['prefix'] || registry['location'];
      if (typeof name === 'string') settled.set(name, { path, text });
    }
  }
  return settled;
}

function tablesOf(value: unknown): readonly Table[] {
  return Array.isArray(value) ? value.filter(isTable) : [];
}

async function activate(_target: Target, _changed: readonly string[], host: Host): Promise<readonly Finding[]> {
  const about = 'podman';
  const findings: Finding[] = [
    { about, state: 'good', finding: 'reads its files at each pull: nothing has to be restarted' },
  ];
  if ((await host.files.exists('/usr/bin/crio')) || (await host.files.exists('/usr/local/bin/crio'))) {
    findings.push({ about, state: 'warning', finding: 'CRI-O reads them when told', advice: 'systemctl reload crio' });
  }
  return findings;
}

async function pull(image: string, host: Host): Promise<boolean | undefined> {
  if ((await host.run('podman', ['--version'])) === undefined) return undefined;
  const isHere = (await host.run('podman', ['image', 'inspect', image])) !== undefined;
  const isPulled = (await host.run('podman', ['pull', '-q', image])) !== undefined;
  if (isPulled && !isHere) await host.run('podman', ['rmi', image]);
  return isPulled;
}
