import { join } from 'node:path';
import type { Finding } from '../doctor/finding.ts';
import type { ProxyStatus } from '../open-proxy.ts';
import { readJson } from './json-text.ts';
import { refused } from './refusal.ts';
import type { Host, Plan } from './steps.ts';

const CONFIG = '/etc/docker/daemon.json';
const CERTIFICATES = '/etc/docker/certs.d';
/** Of our own in both folders, so that what others put there stays as it is. */
const AUTHORITY = 'drayage-proxy.crt';
const DROP_IN = '/etc/systemd/system/docker.service.d/drayage-proxy.conf';
const PROXY_SETTING = /^[^#;]*\b(https?_proxy)\b["']?=["']?([^\s"']+)/im;

/** Has dockerd go out by the agent's proxy, and trust its authority for the registries that are answered there, each for itself. */
export async function planProxy(proxy: ProxyStatus, host: Host, places: readonly string[]): Promise<Plan> {
  const about = 'docker';
  await refuseOtherProxy(host, places);
  const url = `http://${proxy.address}`;
  const lines = ['HTTP_PROXY', 'HTTPS_PROXY'].map((name) => `Environment="${name}=${url}"`);
  const edits = [{ path: DROP_IN, text: `[Service]\n${lines.join('\n')}\n` }];
  for (const place of proxy.places) {
    const folder = join(CERTIFICATES, place);
    const own = (await host.files.list(folder)).find((name) => name.endsWith('.cert'));
    if (own !== undefined) {
      const why = 'that registry asks for a certificate of this host, which does not pass the proxy';
      throw refused(`${join(folder, own)}: ${why}; set proxy: false for it under origins, and restart the agent`);
    }
    edits.push({ path: join(folder, AUTHORITY), text: proxy.certificate });
  }
  const finding = `${proxy.places.join(', ')} come through the agent under their own names; all else is tunnelled`;
  const cost = 'every pull and push of this dockerd fails while no agent runs: there is no way round a proxy';
  return {
    edits,
    findings: [
      { about, state: 'good', finding },
      { about, state: 'warning', finding: cost, advice: 'to take it back: drayage setup docker --undo' },
    ],
  };
}

/** Tells systemd of the new environment. dockerd itself reads it only when it starts, which ends containers: a person decides. */
export async function activateProxy(
  proxy: ProxyStatus | undefined,
  changed: readonly string[],
  host: Host,
): Promise<readonly Finding[]> {
  if (!changed.includes(DROP_IN)) return [];
  const about = 'docker';
  if ((await host.run('systemctl', ['daemon-reload'])) === undefined) {
    const finding = `whatever starts dockerd has to ${proxy ? 'give it HTTP_PROXY and HTTPS_PROXY' : 'leave out the proxy'}`;
    return [{ about, state: 'warning', finding, advice: `systemd would read ${DROP_IN}` }];
  }
  const finding = proxy ? 'uses the proxy once it is restarted' : 'uses the proxy until it is restarted';
  return [{ about, state: 'warning', finding, advice: 'when it suits: systemctl restart docker' }];
}

/** Through a proxy that is there already, the agent would not go, and what only that reaches would be lost. */
async function refuseOtherProxy({ files }: Host, places: readonly string[]): Promise<void> {
  const advice = 'the agent does not go out by another proxy; take that away first if dockerd can do without';
  for (const place of places) {
    const [, name, url] = PROXY_SETTING.exec((await files.read(place)) ?? '') ?? [];
    if (name !== undefined) throw refused(`${place} sets ${name} to ${url?.replace(/\/\/.*@/, '//')}: ${advice}`);
  }
  if (readJson((await files.read(CONFIG)) ?? '', CONFIG)['proxies'] !== undefined) {
    throw refused(`${CONFIG} sets proxies: ${advice}`);
  }
}
