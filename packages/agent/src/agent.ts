import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { Failure, originFill, type Report, startPulls } from '@drayage/core';
import { type Policies, policies, startEndpoint, startOrigins } from '@drayage/registry';
import { openStore } from '@drayage/store';
import type { Swarm } from '@drayage/swarm';
import type pino from 'pino';
import { type AdminAddress, formatAddress } from './address.ts';
import { startAdmin } from './admin.ts';
import { agentStatus } from './agent-status.ts';
import type { Config } from './config.ts';
import { reportTo } from './events.ts';
import { announceBy, joinSwarm } from './join-swarm.ts';
import { makeMetrics } from './metrics.ts';
import { type OpenProxy, openProxy } from './open-proxy.ts';
import { limited } from './rate.ts';
import { readiness } from './readiness.ts';
import { readSwarmKeys } from './swarm-keys.ts';

export interface AgentParts {
  readonly log: pino.Logger;
  readonly home: string;
  readonly version: string;
}

/** A running agent. Disposing it ends it at once; `drain` first lets streams end. */
export interface Agent extends AsyncDisposable {
  /** Where runtimes reach it, as `host:port`. */
  readonly endpoint: readonly string[];
  readonly admin: AdminAddress;
  /** The forward proxy, where there is one. */
  readonly proxy: OpenProxy | undefined;
  /** Closes the endpoint and the proxy to newcomers, and resolves when the last stream has ended or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Takes over what can change while running; says which options need a restart. */
  reconfigure(config: Config): readonly string[];
}

/** Starts everything one host needs, or nothing: what had started is ended again when a later part fails. */
export async function startAgent(config: Config, { log, home, version }: AgentParts): Promise<Agent> {
  const now = Date.now;
  const startedAt = now();
  await using parts = new AsyncDisposableStack();
  const metrics = makeMetrics();
  let swarm: Swarm | undefined;
  const told = reportTo(log, metrics, now);
  const report: Report = (happening) => {
    told(happening);
    if (swarm) announceBy(swarm, happening);
  };

  // Whatever is wrong with the key is told before anything is made or opened.
  const keys = config.swarmKeyFile === undefined ? undefined : await readSwarmKeys(config.swarmKeyFile);
  await makeFolder(config.data);
  const { data: root, cacheBytes: quotaBytes, contentStore: contentFolder } = config;
  const store = parts.use(await openStore({ root, quotaBytes, contentFolder, report }));
  const alone = originFill({ report });
  if (keys) swarm = parts.use(await joinSwarm(config, { keys, store, originFill: alone, report }));
  metrics.measure({ store, swarm });
  const unlimited = startOrigins({ origins: config.origins, report, home, version });
  const origins = parts.use(config.originRate ? limited(unlimited, config.originRate, now) : unlimited);
  const pulls = parts.use(startPulls({ store, fill: swarm?.fill ?? alone, report }));

  let rules = rulesOf(config);
  const livePolicies: Policies = { for: (repository) => rules.for(repository), asking: () => rules.asking() };
  const { defaultOrigin } = config;
  const held = { store, catalog: store.catalog, pulls, swarm };
  const shared = { ...held, origins, policies: livePolicies, defaultOrigin, report };
  const own = { listen: config.listen, hosts: [hostname()], members: swarm };
  const endpoint = parts.use(await startEndpoint({ ...shared, ...own }));
  const addresses = endpoint.addresses.map(formatAddress);
  const proxy = parts.use(await openProxy(config, { endpoint, origins: unlimited, report }));

  let isDraining = false;
  let adminAddress = config.admin;
  const admin = parts.use(
    await startAdmin({
      ...shared,
      now,
      address: config.admin,
      metrics: metrics.registry,
      readiness: () => readiness(isDraining, store.status(), origins.status()),
      status: () => {
        const here = { version, config, endpoint: addresses, admin: adminAddress };
        return agentStatus({ ...shared, ...here, proxy, isDraining, uptimeMs: now() - startedAt });
      },
    }),
  );

  adminAddress = admin.address;
  const running = parts.move();
  return {
    endpoint: addresses,
    admin: adminAddress,
    proxy,
    drain: async (signal) => {
      isDraining = true;
      await Promise.all([endpoint.drain(signal), proxy?.drain(signal)]);
    },
    reconfigure: (next) => {
      rules = rulesOf(next);
      log.level = next.logLevel;
      return fixedChanges(config, next);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function rulesOf({ origins }: Config): Policies {
  return policies(Object.fromEntries(origins.map(({ name, rules }) => [name, rules])));
}

/** The options that differ and are read at the start only. */
function fixedChanges(current: Config, next: Config): readonly string[] {
  const fixed = (config: Config) => ({
    ...config,
    logLevel: undefined,
    origins: config.origins.map((origin) => ({ ...origin, rules: undefined })),
  });
  const before = fixed(current);
  const after = fixed(next);
  return (Object.keys(before) as (keyof Config)[]).filter((name) => !isDeepStrictEqual(before[name], after[name]));
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Failure('disk_failed', `the data folder ${path} cannot be made`, { cause: error });
  }
}
