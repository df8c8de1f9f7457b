import type { StoreStatus } from '@drayage/core';
import type { OriginStatus } from '@drayage/registry';
import { adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import { bar, paint, table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

interface Status {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly isDraining: boolean;
  readonly endpoint: readonly string[];
  readonly admin: string;
  readonly data: string;
  readonly defaultOrigin: string;
  readonly store: StoreStatus;
  readonly origins: readonly OriginStatus[];
}

export async function status(call: Call): Promise<number> {
  const { out } = call.around;
  const now = await adminClient(call).get<Status>('/api/status');
  out.write(call.isJson ? `${JSON.stringify(now)}\n` : format(now, out));
  return EXIT.done;
}

function format(now: Status, out: Output): string {
  const { store } = now;
  const share = store.quotaBytes > 0 ? store.bytes / store.quotaBytes : 0;
  const gauge = out.isTerminal ? `${bar(share)} ` : '';
  const state = now.isDraining ? paint(out, 'yellow', 'ending') : paint(out, 'green', 'running');
  const lines = [
    `drayage ${now.version}  ${state} for ${formatDuration(now.uptimeSeconds * 1000)}`,
    `endpoint  ${now.endpoint.map((address) => `http://${address}`).join(', ')}`,
    `admin     ${now.admin}`,
    `data      ${now.data}`,
    `store     ${gauge}${formatSize(store.bytes)} of ${formatSize(store.quotaBytes)} in ${store.blobs} blobs`,
    ...(store.drafts > 0 ? [`drafts    ${store.drafts}, ${formatSize(store.draftBytes)}`] : []),
    ...(store.passThrough ? [paint(out, 'yellow', `          nothing is written: ${store.passThrough}`)] : []),
  ];
  const origins = now.origins.map(({ name, url, breaker }) => [name, url, breaker]);
  return `${lines.join('\n')}\n\n${table(out, ['ORIGIN', 'URL', 'BREAKER'], origins)}`;
}
