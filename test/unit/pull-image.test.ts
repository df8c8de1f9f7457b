import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from '@drayage/core';
import { expect, test } from 'vitest';
import { type PullReport, pullImage } from '../lab/pull-image.ts';

const LAYER = Buffer.alloc(300_000, 'layer');
const CONFIG = Buffer.from('{}');
const MANIFEST = Buffer.from(
  JSON.stringify({ config: { digest: sha256(CONFIG) }, layers: [{ digest: sha256(LAYER) }] }),
);

test('a pull of sound bytes says how many there were', async () => {
  const report = await pullFrom(LAYER);
  expect(report).toMatchObject({ soundBytes: LAYER.length + CONFIG.length, corrupt: 0, problems: [] });
  expect(report.endedAt).toBeGreaterThan(report.startedAt);
});

test('a body that is whole and wrong is corrupt', async () => {
  const wrong = Buffer.from(LAYER);
  wrong[1000] = 0;
  const report = await pullFrom(wrong);
  expect(report).toMatchObject({ soundBytes: CONFIG.length, corrupt: 1 });
  expect(report.problems).toEqual([expect.stringContaining(sha256(LAYER))]);
});

test('a body that ends early is a problem, and not corrupt', async () => {
  const report = await pullFrom(LAYER, LAYER.length - 10);
  expect(report).toMatchObject({ soundBytes: CONFIG.length, corrupt: 0 });
  expect(report.problems).toEqual([expect.stringContaining('lacks 10 bytes')]);
});

test('whatever else goes wrong is told with its path', async () => {
  const report = await pullFrom(undefined);
  expect(report.problems).toEqual([expect.stringMatching(/^blobs\/sha256:.* status 404/)]);
});

/** Pulls from a registry that gives these bytes as the layer, and hangs up after so many. */
async function pullFrom(layer: Buffer | undefined, sent?: number): Promise<PullReport> {
  const answer: RequestListener = ({ url = '' }, response) => {
    if (url.includes('/manifests/')) {
      response.setHeader('docker-content-digest', sha256(MANIFEST)).end(MANIFEST);
    } else if (url.endsWith(sha256(CONFIG))) response.end(CONFIG);
    else if (!layer) response.writeHead(404).end();
    else {
      response.setHeader('content-length', layer.length);
      response.write(layer.subarray(0, sent), () => (sent === undefined ? response.end() : response.destroy()));
    }
  };
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const report = await pullImage({ base, repository: 'library/a', reference: '1' });
  server.close();
  return report;
}
