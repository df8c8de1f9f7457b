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
  pull,
};

async function plan(target: Target, host: Host): Promise<Plan> {
  const about = 'podman';
  const findings: Finding[] = [];
  const version = /version (\S+)/.exec((await host.run('podman', ['--version'])) ?? '')?.[1];
  if (version !== undefined) findings.push({ about, state: 'good', finding: `podman ${version}` });
  const settled = await settledRegistries(host);
  const own: string[] = [];
  for (const origin of target.origins) {
    const elsewhere = settled.get(origin);
    if (!elsewhere) own.push(origin);
    else if (!elsewhere.text.includes(target.endpoint)) {
      const location = mirrorOf(target, origin);
      findings.push({
        about,
        state: 'warning',
        finding: `${elsewhere.path} settles ${origin} itself; it does not come through the agent`,
        advice: `add [[registry.mirror]] with location = "${location}" and insecure = true to its [[registry]] there`,
      });
    }
  }
  if (own.length === 0)
    throw refused(`no registry is left to set: ${target.origins.join(', ') || 'the agent serves none'}`);
  const pairs = own.map(
    (origin) =>
      `[[registry]]\nlocation = "${origin}"\n[[registry.mirror]]\nlocation = "${mirrorOf(target, origin)}"\ninsecure = true\n`,
  );
  const limits = [
    `${own.join(', ')} come through the agent, and from the origin while no agent runs`,
    'a registry that the agent learns of later needs this command again',
    'once the agent has given the manifest, the rest comes through it too: podman does not change over in the middle',
    'private images: podman login by path, or from the origin',
  ];
  findings.push(...limits.map((finding): Finding => ({ about, state: 'good', finding })));
  return { edits: [{ path: OWN, text: `${NOTE}\n\n${pairs.join('\n')}` }], findings };
}

/** A port cannot stand in a path. */
function mirrorOf({ endpoint }: Target, origin: string): string {
  return `${endpoint}/${origin.replace(':', '_')}`;
}

/** Which file says what of each registry, besides our own: a file read later replaces what one before it says. */
async function settledRegistries(
  host: Host,
): Promise<ReadonlyMap<string, { readonly path: string; readonly text: string }>> {
  const names = (await host.files.list(PARTS)).filter((name) => name.endsWith('.conf'));
  const paths = [MAIN, ...names.map((name) => join(PARTS, name)).filter((path) => path !== OWN)];
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
