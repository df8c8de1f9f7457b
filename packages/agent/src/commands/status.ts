import { adminClient } from '../admin-client.ts';
import type { AgentStatus } from '../agent-status.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import { bar, paint, table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

export async function status(call: Call): Promise<number> {
  const { out } = call.around;
  const now = await adminClient(call).get<AgentStatus>('/api/status');
  out.write(call.isJson ? `${JSON.stringify(now)}\n` : format(now, out));
  return EXIT.done;
}

function format(now: AgentStatus, out: Output): string {
  const { store, addresses } = now;
  const share = store.quotaBytes > 0 ? store.bytes / store.quotaBytes : 0;
  const gauge = out.isTerminal ? `${bar(share)} ` : '';
  const state = now.isDraining ? paint(out, 'yellow', 'ending') : paint(out, 'green', 'running');
  const lines = [
    `drayage ${now.version}  ${state} for ${formatDuration(now.uptimeSeconds * 1000)}`,
    `endpoint  ${addresses.endpoint.map((address) => `http://${address}`).join(', ')}`,
    `admin     ${addresses.admin}`,
    `data      ${now.data}`,
    ...(now.proxy ? [`proxy     http://${now.proxy.address}, answers for ${now.proxy.places.join(', ')}`] : []),
    ...swarmLines(now),
    `store     ${gauge}${formatSize(store.bytes)} of ${formatSize(store.quotaBytes)} in ${store.blobs} blobs`,
    ...(store.drafts > 0 ? [`drafts    ${store.drafts}, ${formatSize(store.draftBytes)}`] : []),
    ...(store.passThrough ? [paint(out, 'yellow', `          nothing is written: ${store.passThrough}`)] : []),
  ];
  const origins = now.origins.map(({ name, url, breaker }) => [name, url, breaker]);
  return `${lines.join('\n')}\n\n${table(out, ['ORIGIN', 'URL', 'BREAKER'], origins)}`;
}

function swarmLines({ identity, members, addresses }: AgentStatus): readonly string[] {
  if (identity === null) return ['swarm     none: this agent has no swarm key'];
  return [
    `identity  ${identity}`,
    `swarm     ${addresses.swarm.join(', ')}`,
    `links     ${addresses.links.join(', ')}`,
    `members   ${members}`,
  ];
}
