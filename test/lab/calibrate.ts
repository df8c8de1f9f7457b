import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './hosts.ts';
import { MIB } from './images.ts';
import { commandAt, must, start } from './process.ts';
import { noise } from './tar.ts';

const PORT = 8000;
const BYTES = 16 * MIB;

/** The Mbit/s that one nginx on a host gets over to a client on another: what the links really carry. */
export async function calibrate(server: Host, client: Host): Promise<number> {
  const folder = join(server.folder, 'nginx');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'file'), noise(BYTES, 'calibrate'));
  writeFileSync(join(folder, 'nginx.conf'), configOf(folder));
  const address = `http://${server.address}:${PORT}/file`;
  await using _nginx = await start({
    ...commandAt(server.port.inside, 'nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder]),
    log: join(folder, 'nginx.log'),
    ready: async () => (await server.errands.get(`http://127.0.0.1:${PORT}/`)).status > 0,
  });
  const curl = commandAt(client.port.inside, 'curl', ['-sSf', '-o', '/dev/null', '-w', '%{speed_download}', address]);
  return (Number(await must(curl.command, curl.args)) * 8) / 1e6;
}

function configOf(folder: string): string {
  return [
    'daemon off; worker_processes 1; user root;',
    `pid ${join(folder, 'pid')}; error_log ${join(folder, 'error.log')};`,
    'events { worker_connections 64; }',
    `http { access_log off; sendfile on; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b;`,
    `fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;`,
    `server { listen ${PORT}; root ${folder}; } }`,
  ].join('\n');
}
