import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { must } from '../lab/process.ts';
import { compare, download, makeBlob, type Sample } from './measure.ts';
import { registryServer, startNginx } from './nginx.ts';

const ROUNDS = 5;
const ORIGIN_PORT = 5080;
const CACHE_PORT = 5081;

/** A cold gibibyte from a local origin, through the agent and through nginx proxy_cache, in turns, a new one each round. */
export async function fill(folder: string): Promise<Record<string, number>> {
  const files = join(folder, 'files');
  mkdirSync(files, { recursive: true });
  const origin = `http://127.0.0.1:${ORIGIN_PORT}`;
  await using _origin = await startNginx(join(folder, 'origin'), ORIGIN_PORT, registryServer(ORIGIN_PORT, files));
  const cache = join(folder, 'cache');
  await using nginx = await startNginx(join(folder, 'nginx'), CACHE_PORT, cacheServer(cache, origin));
  const more = ['--log-level', 'info', '--cache-bytes', '40GiB'];
  await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin, more });
  const ours: Sample[] = [];
  const theirs: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const digest = await makeBlob(files, round + 2);
    const path = `/v2/library/bench/blobs/${digest}`;
    const turns = [
      async () => ours.push(await download(`${agent.url}${path}`, agent.pid())),
      async () => theirs.push(await download(`http://127.0.0.1:${CACHE_PORT}${path}`, nginx.pid)),
    ];
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) {
      // What one side still has to write must not slow the other.
      await must('sync', []);
      await turn();
    }
    rmSync(join(files, digest));
    await fetch(`${agent.admin}/api/blobs/${digest}`, {
      method: 'DELETE',
      headers: { 'content-type': 'application/json' },
    });
  }
  return compare(ours, theirs);
}

function cacheServer(folder: string, origin: string): string {
  return `proxy_cache_path ${folder} levels=1:2 keys_zone=blobs:10m max_size=20g use_temp_path=off;
  server {
    listen 127.0.0.1:${CACHE_PORT};
    location / {
      proxy_pass ${origin};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache blobs;
      proxy_cache_valid 200 1h;
    }
  }`;
}
