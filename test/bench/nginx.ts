import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, start } from '../lab/process.ts';

const TICKS_PER_SECOND = 100;

/** Starts nginx with one worker, as the agent is one process; `servers` is the inside of its http block. */
export async function startNginx(folder: string, port: number, servers: string): Promise<Running> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(folder, kind)};`,
  );
  const lines = [
    'daemon off; worker_processes 1; user root;',
    `pid ${join(folder, 'pid')}; error_log ${join(folder, 'error.log')};`,
    'events { worker_connections 256; }',
    `http { access_log off; sendfile on; tcp_nopush on; ${temporary.join(' ')} ${servers} }`,
  ];
  writeFileSync(file, lines.join('\n'));
  return start({
    command: 'nginx',
    args: ['-c', file, '-p', folder],
    log: join(folder, 'nginx.log'),
    ready: async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).ok,
  });
}

/** The inside of a server block that answers like a registry whose blobs are the files of a folder. */
export function registryServer(port: number, files: string): string {
  return `server {
    listen 127.0.0.1:${port};
    location = /v2/ { default_type application/json; return 200 '{}'; }
    location ~ ^/v2/.+/blobs/(sha256:[0-9a-f]+)$ { default_type application/octet-stream; alias ${files}/$1; }
  }`;
}

/** Processor seconds that a process and its children have used. */
export function processorSeconds(pid: number): number {
  const ticks = [pid, ...childrenOf(pid)].map((one) => {
    const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' '))
    .filter((text) => text !== '')
    .map(Number);
}
