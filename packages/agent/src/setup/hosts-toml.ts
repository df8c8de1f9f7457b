import { join } from 'node:path';
import type { Finding } from '../doctor/finding.ts';
import { refused } from './refusal.ts';
import type { Edit, Host, Plan, Target } from './steps.ts';
import { beforeTables, isTable, readToml } from './toml-text.ts';

const NOTE = 'Written by drayage setup; its --undo takes it away.';

/** Where containerd's way of finding hosts leads for a registry: the first folder there is. */
async function folderFor(host: Host, roots: readonly string[], registry: string): Promise<string | undefined> {
  const names = registry.includes(':')
    ? [`${registry.replace(':', '_')}_`, registry, '_default']
    : [registry, '_default'];
  for (const root of roots) {
    for (const name of names) {
      if (await host.files.exists(join(root, name))) return join(root, name);
    }
  }
  return undefined;
}

/**
 * Puts the agent before every other host of each registry it serves: in `_default`, which holds for all that have no
 * folder of their own, and in the folders of those that have one. What stands there stays, and comes after it.
 */
export async function planHosts(about: string, target: Target, host: Host, roots: readonly string[]): Promise<Plan> {
  const url = `http://${target.endpoint}`;
  const findings: Finding[] = [];
  const folders = new Set<string>();
  // A registry nobody has a folder for shows which `_default` holds; the last root hides nothing of the others.
  for (const registry of ['registry.invalid', ...target.origins]) {
    folders.add((await folderFor(host, roots, registry)) ?? join(roots.at(-1) ?? '/', '_default'));
  }
  const edits: Edit[] = [];
  for (const folder of folders) {
    const path = join(folder, 'hosts.toml');
    const text = await host.files.read(path);
    const certificates = (await host.files.list(folder)).filter((name) => /\.(?:crt|cert|key)$/.test(name));
    if (text === undefined && certificates.length > 0) {
      const finding = `${folder} holds ${certificates.join(', ')} and no hosts.toml: pulls from there go round the agent`;
      const advice = `write ${path} that names the certificates (ca, client), and run this again`;
      findings.push({ about, state: 'warning', finding, advice });
      continue;
    }
    const edited = withHost(text, url, path);
    edits.push({ path, text: edited });
    const others = Object.keys(hostsOf(text ?? '', path)).filter((other) => !isSame(other, url));
    if (others.length > 0) {
      findings.push({ about, state: 'good', finding: `${path}: ${others.join(', ')} stay, and come after the agent` });
    }
  }
  return { edits, findings };
}

function withHost(text: string | undefined, url: string, path: string): string {
  const block = `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n  dial_timeout = "200ms"\n`;
  if (text === undefined) return `# ${NOTE}\n${block}`;
  const hosts = hostsOf(text, path);
  if (Object.keys(hosts).some((other) => isSame(other, url))) return text;
  const edited = beforeTables(text, `# ${NOTE}\n${block}`);
  const expected = { ...hosts, [url]: {} };
  if (Object.keys(hostsOf(edited, path)).toSorted().join() !== Object.keys(expected).toSorted().join()) {
    throw refused(`${path} is written in a way that is not understood; add [host."${url}"] to it by hand`);
  }
  return edited;
}

function hostsOf(text: string, path: string): Readonly<Record<string, unknown>> {
  const { host } = readToml(text, path);
  return isTable(host) ? host : {};
}

/** The same agent, by whatever name of this machine. */
export function isSame(one: string, other: string): boolean {
  const plain = (url: string) => url.replace(/\/$/, '').replace(/\/\/(?:localhost|\[::1\])(?=:|$)/, '//127.0.0.1');
  return plain(one) === plain(other);
}
