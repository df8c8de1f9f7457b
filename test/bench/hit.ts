import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { compare, download, makeBlob, type Sample } from './measure.ts';
import { registryServer, startNginx } from './nginx.ts';

const ROUNDS = 5;
const NGINX_PORT = 5080;

/** A sealed gibibyte to curl, from the agent and from nginx with sendfile, in turns. */
export async function hit(folder: string): Promise<Record<string, number>> {
  const files = join(folder, 'files');
  mkdirSync(files, { recursive: true });
  const digest = await makeBlob(files, 1);
  await using nginx = await startNginx(join(folder, 'nginx'), NGINX_PORT, registryServer(NGINX_PORT, files));
  const base = `http://127.0.0.1:${NGINX_PORT}`;
  const more = ['--log-level', 'info', '--cache-bytes', '20GiB'];
  await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: base, more });
  const path = `/v2/library/bench/blobs/${digest}`;
  await download(`${agent.url}${path}`, agent.pid());
  await download(`${agent.url}${path}`, agent.pid());
  await download(`${base}${path}`, nginx.pid);
  const ours: Sample[] = [];
  const theirs: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await download(`${agent.url}${path}`, agent.pid()));
    theirs.push(await download(`${base}${path}`, nginx.pid));
  }
  return compare(ours, theirs);
}
