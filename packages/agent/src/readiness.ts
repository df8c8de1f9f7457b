import type { StoreStatus } from '@drayage/core';
import type { OriginStatus } from '@drayage/registry';

interface Check {
  readonly name: string;
  readonly isGood: boolean;
  /** In words; for a check that passed, what is worth knowing. */
  readonly detail: string;
}

export interface Readiness {
  readonly isReady: boolean;
  readonly checks: readonly Check[];
}

/** Ready means: a pull that comes now can be answered, from the disk or from an origin. */
export function readiness(isDraining: boolean, store: StoreStatus, origins: readonly OriginStatus[]): Readiness {
  const open = origins.filter(({ breaker }) => breaker === 'open').map(({ name }) => name);
  const isAnyOriginUp = open.length < origins.length;
  const checks = [
    { name: 'endpoint', isGood: !isDraining, detail: isDraining ? 'the agent is ending' : 'listening' },
    {
      name: 'store',
      isGood: store.passThrough === undefined,
      detail: store.passThrough === undefined ? `${store.blobs} blobs` : `passing through: ${store.passThrough}`,
    },
    {
      name: 'origins',
      isGood: isAnyOriginUp,
      detail: open.length === 0 ? 'none is known to be down' : `not answering: ${open.join(', ')}`,
    },
  ];
  const canServe = store.blobs > 0 || isAnyOriginUp;
  return { isReady: !isDraining && canServe, checks };
}

/** One line per check, as container tooling prints them. */
export function formatChecks({ isReady, checks }: Readiness, isVerbose: boolean): string {
  const shown = isVerbose || !isReady ? checks.filter(({ isGood }) => isVerbose || !isGood) : [];
  const lines = shown.map(({ name, isGood, detail }) => `[${isGood ? '+' : '-'}]${name}: ${detail}`);
  return `${[...lines, isReady ? 'ready' : 'not ready'].join('\n')}\n`;
}
