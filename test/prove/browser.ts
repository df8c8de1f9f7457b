import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createSocketServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Agent, startAgent } from '../lab/agent.ts';
import { documentOf } from '../lab/images.ts';
import { start, until } from '../lab/process.ts';
import { startStaticOrigin } from '../lab/static-origin.ts';
import { attackPage, type Finding } from './browser-page.ts';
import type { Proof } from './proof.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** Where the attacker's server stands: its page has the agent's port, so that its name may lead to the agent later. */
const ATTACKER = '127.0.0.9';
const PORT = 5050;
const ADMIN_PORT = 5051;
const REPORT_PORT = 8081;
const MARK = 'content-that-no-page-may-read';
const CONTENT = Buffer.from(`${MARK} `.repeat(100));
const FLAGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync', '--disable-quic', '--no-proxy-server'],
];

/** A page in a real browser on this host reads nothing of the agent and changes nothing in it. */
export const browser: Proof = {
  name: 'browser',
  title: 'a page in Chromium: rebinding, cross-site requests with and without CORS, forms, pictures, frames',
  needs: ['chromium'],
  run: async (folder) => {
    mkdirSync(folder, { recursive: true });
    await using origin = await startStaticOrigin();
    const blob = origin.add(CONTENT);
    const part = { mediaType: 'application/octet-stream', digest: blob, size: CONTENT.length };
    const image = { schemaVersion: 2, mediaType: MANIFEST, config: part, layers: [part], annotations: { note: MARK } };
    const manifest = documentOf(MANIFEST, image);
    origin.addManifest('1', manifest);
    await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
    for (const what of ['manifests/1', `blobs/${blob}`]) {
      const answer = await fetch(`${agent.url}/v2/library/app/${what}`);
      assert.equal(answer.status, 200, `the agent holds what the page is after: ${what}`);
      await answer.text();
    }
    const isKept = async () => ((await agent.ask('/api/blobs')) as { total: number }).total === 2;
    await until('both to be kept', 10_000, isKept);
    const before = await stateOf(agent);
    const { findings, rebound } = await visit(folder, blob);
    const after = await stateOf(agent);
    const readable = findings.filter(({ text }) => text.includes(MARK) || text.includes('schemaVersion'));
    const bytes = readable.reduce((sum, { text }) => sum + text.length, 0);
    const changed = JSON.stringify(before) === JSON.stringify(after) ? 0 : 1;
    const told = JSON.stringify({ readable, before, after });
    assert.equal(bytes + changed, 0, told);
    assert.ok(findings.length > 50, `the page tried what it was made for: ${findings.length}`);
    const same = JSON.stringify(findings.filter(({ where }) => where.startsWith('same-origin')));
    assert.ok(rebound.length > 0, `the name of the page led to the agent in the end: ${same}`);
    return { attempts: findings.length, reboundAnswers: rebound.length, bytesRead: bytes, stateChanged: changed };
  },
};

/** What a page could change: what is held, what was given to clients, what the origin was asked. */
async function stateOf(agent: Agent): Promise<unknown> {
  const blobs = await agent.ask('/api/blobs');
  const served = await agent.metric('drayage_served_bytes_total');
  return { blobs, served, asked: await agent.metric('drayage_origin_requests_total') };
}

async function visit(
  folder: string,
  blob: string,
): Promise<{ findings: readonly Finding[]; rebound: readonly Finding[] }> {
  const findings = Promise.withResolvers<readonly Finding[]>();
  const reports = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.end();
      if (request.method === 'POST') findings.resolve(JSON.parse(Buffer.concat(chunks).toString()));
    });
  });
  let isServed = false;
  const page = createServer((request, response) => {
    // A browser keeps connections ready; what comes on them later was meant for the agent.
    if (isServed) return void request.socket.destroy();
    response.writeHead(200, { 'content-type': 'text/html', connection: 'close' });
    response.end(attackPage({ blob, report: `http://${ATTACKER}:${REPORT_PORT}/` }));
    isServed = true;
  });
  // Once the page is there its name leads to the agent: to the agent and the browser as if its address had changed.
  const leading = [PORT, ADMIN_PORT].map((port) =>
    createSocketServer((socket) => {
      if (isServed) lead(socket, port);
      else page.emit('connection', socket);
    }),
  );
  await listen(reports, REPORT_PORT);
  for (const [at, server] of leading.entries()) await listen(server, [PORT, ADMIN_PORT][at] ?? PORT);
  let result: readonly Finding[] | undefined;
  findings.promise.then(
    (given) => {
      result = given;
    },
    () => {},
  );
  const chromium = await start({
    command: 'chromium',
    args: [
      ...FLAGS,
      `--user-data-dir=${join(folder, 'profile')}`,
      `--host-resolver-rules=MAP evil.test ${ATTACKER}`,
      `http://evil.test:${PORT}/`,
    ],
    env: { HOME: folder },
    log: join(folder, 'chromium.log'),
    ready: async () => true,
  });
  try {
    await until('the page to report', 90_000, () => result !== undefined);
  } finally {
    await chromium.stop();
    page.closeAllConnections();
    for (const server of leading) server.close();
    reports.closeAllConnections();
    await new Promise((resolve) => reports.close(resolve));
  }
  const all = result ?? [];
  return {
    findings: all,
    rebound: all.filter(({ where, status }) => where.startsWith('same-origin') && status === 421),
  };
}

function lead(socket: Socket, port: number): void {
  const agent = connect({ host: '127.0.0.1', port });
  for (const end of [socket, agent])
    end.on('error', () => {}).on('close', () => [socket, agent].map((one) => one.destroy()));
  socket.pipe(agent).pipe(socket);
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, ATTACKER);
  await once(server, 'listening');
}
