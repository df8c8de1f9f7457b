import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { imageFor } from '../lab/images.ts';
import type { Scenario } from './scenario.ts';

const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
].join(', ');

/** Headers in which the agent must say what the origin says. */
const SAME = ['content-type', 'content-length', 'docker-content-digest', 'docker-distribution-api-version', 'etag'];
const UNKNOWN = `sha256:${'0'.repeat(64)}`;

/** The agent's answers, with the origin registry's own as the oracle. */
export const headerScenarios: readonly Scenario[] = [
  {
    name: 'H2',
    title: 'every endpoint answers with the status and headers of the registry behind it',
    boundSeconds: 30,
    needs: [],
    run: async ({ folder, origin, images }) => {
      await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
      const one = imageFor(images.small);
      const targets = [
        'library/small/manifests/1',
        `library/small/manifests/${one.manifest.digest}`,
        'library/list/manifests/1',
        'library/oci-index/manifests/1',
        `library/small/blobs/${one.config.digest}`,
        `library/small/blobs/${one.layers[0]?.digest}`,
      ];
      for (const target of targets) {
        for (const method of ['HEAD', 'GET', 'HEAD']) {
          const ask = (base: string) => fetch(`${base}/v2/${target}`, { method, headers: { accept: ACCEPT } });
          const [ours, theirs] = [await ask(agent.url), await ask(origin.direct)];
          assert.equal(ours.status, theirs.status, `${method} ${target}`);
          for (const name of SAME) {
            assert.equal(ours.headers.get(name), theirs.headers.get(name), `${name} of ${method} ${target}`);
          }
          assert.equal(ours.headers.get('content-encoding'), null);
          assert.equal(await ours.text(), await theirs.text());
        }
      }
      await expectRoot(agent.url);
      await expectUnknowns(agent.url);
      const named = await fetch(`${agent.url}/v2/library/small/manifests/1?ns=docker.io`, {
        headers: { accept: ACCEPT },
      });
      assert.equal(named.headers.get('oci-namespace'), 'docker.io');
      assert.ok(['disk', 'origin'].includes(named.headers.get('drayage-source') ?? ''), 'the source is said');
      const blob = await fetch(`${agent.url}/v2/library/small/blobs/${one.config.digest}`, { method: 'HEAD' });
      assert.equal(blob.headers.get('accept-ranges'), 'bytes');
      assert.equal(await agent.stop(), 0, 'it ends well when asked to');
    },
  },
];

async function expectRoot(url: string): Promise<void> {
  const root = await fetch(`${url}/v2/`);
  assert.equal(root.status, 200);
  assert.equal(root.headers.get('content-type'), 'application/json');
  assert.equal(root.headers.get('content-length'), '2');
  assert.equal(root.headers.get('docker-distribution-api-version'), 'registry/2.0');
  assert.equal(await root.text(), '{}');
  assert.equal((await fetch(`${url}/v1/_ping`)).status, 404);
}

async function expectUnknowns(url: string): Promise<void> {
  const faults: readonly (readonly [string, number, string])[] = [
    ['library/small/manifests/nothing', 404, 'MANIFEST_UNKNOWN'],
    [`library/small/manifests/${UNKNOWN}`, 404, 'MANIFEST_UNKNOWN'],
    [`library/small/blobs/${UNKNOWN}`, 404, 'BLOB_UNKNOWN'],
    ['library/small/blobs/sha256:short', 400, 'DIGEST_INVALID'],
    ['LIBRARY/small/manifests/1', 400, 'NAME_INVALID'],
    ['elsewhere.example.com/team/small/manifests/1', 404, 'NAME_UNKNOWN'],
  ];
  for (const [target, status, code] of faults) {
    const answer = await fetch(`${url}/v2/${target}`);
    assert.equal(answer.status, status, target);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    const text = await answer.text();
    assert.equal(answer.headers.get('content-length'), `${Buffer.byteLength(text)}`);
    const [error] = JSON.parse(text).errors;
    assert.equal(error.code, code, target);
    assert.equal(typeof error.message, 'string');
    const head = await fetch(`${url}/v2/${target}`, { method: 'HEAD' });
    assert.equal(head.status, status, `HEAD ${target}`);
  }
}
