import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hosts } from './hosts.ts';
import { commandAt, start } from './process.ts';

/** A cache on a further host, as people put one before their registry. */
export interface Cache extends AsyncDisposable {
  readonly url: string;
}

const NGINX_PORT = 8080;
const REGISTRY_PORT = 5000;

/** One nginx that keeps what it has passed on, and asks the origin for one thing once at a time. */
export async function startNginxCache(lab: Hosts): Promise<Cache> {
  const { folder, address, inside } = await placeOf(lab, 'nginx-cache');
  writeFileSync(join(folder, 'nginx.conf'), nginxConf(folder, lab.origin.url));
  const url = `http://${address}:${NGINX_PORT}`;
  const running = await start({
    ...commandAt(inside, 'nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder]),
    log: join(folder, 'nginx.log'),
    ready: async () => (await fetch(`${url}/v2/`)).ok,
  });
  return { url, [Symbol.asyncDispose]: () => running.kill() };
}

/** One docker-registry as a pull-through cache. */
export async function startRegistryCache(lab: Hosts): Promise<Cache> {
  const { folder, address, inside } = await placeOf(lab, 'registry-cache');
  const file = join(folder, 'registry.yml');
  const url = `http://${address}:${REGISTRY_PORT}`;
  const settings = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') } },
    http: { addr: `${address}:${REGISTRY_PORT}` },
    proxy: { remoteurl: lab.origin.url },
  };
  writeFileSync(file, JSON.stringify(settings));
  const running = await start({
    ...commandAt(inside, 'docker-registry', ['serve', file]),
    env: { OTEL_TRACES_EXPORTER: 'none' },
    log: join(folder, 'registry.log'),
    ready: async () => (await fetch(`${url}/v2/`)).ok,
  });
  return { url, [Symbol.asyncDispose]: () => running.kill() };
}

/** A host like any other, without an agent. */
async function placeOf(
  lab: Hosts,
  name: string,
): Promise<{ folder: string; address: string; inside: readonly string[] }> {
  const host = await lab.add();
  const folder = join(host.folder, name);
  mkdirSync(folder, { recursive: true });
  return { folder, address: host.address, inside: host.port.inside };
}

function nginxConf(folder: string, origin: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(folder, kind)};`,
  );
  return [
    'daemon off; worker_processes 2; user root;',
    `pid ${join(folder, 'pid')}; error_log ${join(folder, 'error.log')};`,
    'events { worker_connections 1024; }',
    `http { access_log off; sendfile on; tcp_nopush on; ${temporary.join(' ')}`,
    `proxy_cache_path ${join(folder, 'cache')} keys_zone=layers:10m max_size=10g inactive=1h use_temp_path=off;`,
    `server { listen ${NGINX_PORT}; location / { proxy_pass ${origin}; proxy_cache layers; proxy_cache_valid 200 1h;`,
    // Without a limit on waiting, those behind the first ask the origin themselves after five seconds.
    'proxy_cache_lock on; proxy_cache_lock_timeout 10m; proxy_cache_lock_age 10m; } } }',
  ].join('\n');
}
