import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Authority } from './certificates.ts';
import { type Front, startFront } from './front.ts';
import { EXAMPLE_ADDRESS, HUB_ADDRESS } from './namespace.ts';
import { type Running, start } from './process.ts';

const REGISTRY_PORT = 5001;
const FRONT_PORT = 5000;

/** The door that agents use. */
export const AGENT_DOOR = 'agent';
/** The door of Docker Hub's own name, which clients use when they go round the agent. */
export const HUB_DOOR = 'hub';
/** The door of registry.example.com, likewise. */
export const EXAMPLE_DOOR = 'example';

/** The origin registry: a real one, behind a front that counts and injects faults. */
export interface Origin extends AsyncDisposable {
  readonly front: Front;
  /** What agents are told. */
  readonly url: string;
  /** The registry without its front: what goes in here is not counted. */
  readonly direct: string;
  /** `host:port` of the registry without its front. */
  readonly directHost: string;
  readonly registry: Running;
}

/** Starts a docker-registry and its front. */
export async function startOrigin(folder: string, { certificate }: Authority): Promise<Origin> {
  mkdirSync(folder, { recursive: true });
  const root = join(folder, 'registry');
  const direct = `http://127.0.0.1:${REGISTRY_PORT}`;
  const settings = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${REGISTRY_PORT}` },
  };
  const file = join(folder, 'registry.yml');
  writeFileSync(file, JSON.stringify(settings));
  const registry = await start({
    command: 'docker-registry',
    args: ['serve', file],
    env: { OTEL_TRACES_EXPORTER: 'none' },
    log: join(folder, 'registry.log'),
    ready: async () => (await fetch(`${direct}/v2/`)).ok,
  });
  const front = await startFront(
    [
      { name: AGENT_DOOR, host: '127.0.0.1', port: FRONT_PORT },
      { name: HUB_DOOR, host: HUB_ADDRESS, port: 443, certificate },
      { name: EXAMPLE_DOOR, host: EXAMPLE_ADDRESS, port: 443, certificate },
    ],
    REGISTRY_PORT,
  );
  return {
    front,
    url: `http://127.0.0.1:${FRONT_PORT}`,
    direct,
    directHost: `127.0.0.1:${REGISTRY_PORT}`,
    registry,
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]();
      await registry.stop();
    },
  };
}
