import type { StoreStatus } from '@drayage/core';
import type { OriginStatus } from '@drayage/registry';
import type { Swarm } from '@drayage/swarm';
import { type AdminAddress, formatAddress } from './address.ts';
import type { Config } from './config.ts';
import type { OpenProxy, ProxyStatus } from './open-proxy.ts';

/** How an agent is, as `/api/status` tells it. */
export interface AgentStatus {
  readonly version: string;
  /** This host's name in the swarm; null without one. */
  readonly identity: string | null;
  readonly addresses: {
    readonly endpoint: readonly string[];
    readonly admin: string;
    readonly swarm: readonly string[];
    readonly links: readonly string[];
  };
  /** What to tell a runtime that is to use the forward proxy; null without one. */
  readonly proxy: ProxyStatus | null;
  readonly uptimeSeconds: number;
  readonly isDraining: boolean;
  /** How many others it is in touch with. */
  readonly members: number;
  readonly data: string;
  readonly defaultOrigin: string;
  readonly store: StoreStatus;
  readonly origins: readonly OriginStatus[];
}

interface StatusParts {
  readonly version: string;
  readonly config: Pick<Config, 'data' | 'defaultOrigin'>;
  readonly endpoint: readonly string[];
  readonly admin: AdminAddress;
  readonly uptimeMs: number;
  readonly isDraining: boolean;
  readonly store: { status(): StoreStatus };
  readonly origins: { status(): readonly OriginStatus[] };
  readonly swarm: Swarm | undefined;
  readonly proxy: OpenProxy | undefined;
}

/** How the agent of these parts is now. */
export function agentStatus({ swarm, config, admin, endpoint, ...parts }: StatusParts): AgentStatus {
  const { swarm: meeting, links } = swarm?.addresses ?? { swarm: [], links: [] };
  return {
    version: parts.version,
    identity: swarm?.member ?? null,
    addresses: { endpoint, admin: formatAddress(admin), swarm: meeting, links },
    proxy: parts.proxy?.status() ?? null,
    uptimeSeconds: Math.round(parts.uptimeMs / 1000),
    isDraining: parts.isDraining,
    members: swarm?.members().length ?? 0,
    data: config.data,
    defaultOrigin: config.defaultOrigin,
    store: parts.store.status(),
    origins: parts.origins.status(),
  };
}
