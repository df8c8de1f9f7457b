import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { expectImage } from '../lab/client.ts';
import { blobBytes, imageFor } from '../lab/images.ts';
import { AGENT_DOOR, EXAMPLE_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { podmanFamily } from '../lab/podman.ts';
import type { Scenario, Stage } from './scenario.ts';

const agentOf = ({ folder, origin }: Stage) => startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });

/** The containers/image family, which never falls back once it has a manifest. */
export const podmanScenarios: readonly Scenario[] = [
  {
    name: 'P1',
    title: 'podman, buildah and skopeo pull by path; a blob that went missing is fetched again in the same pull',
    boundSeconds: 90,
    needs: ['podman', 'buildah', 'skopeo'],
    run: async (stage) => {
      await using agent = await agentOf(stage);
      const { front } = stage.origin;
      const { podman, buildah, skopeo } = podmanFamily(join(stage.folder, 'podman'), stage.authority.bundle);
      const { small } = stage.images;
      const gone = imageFor(small).layers.at(2);
      assert.ok(gone);
      for (const client of [podman, buildah, skopeo]) {
        for (const reference of ['docker.io/library/small:1', 'registry.example.com/team/small:1']) {
          await client.pull(reference);
          await expectImage(client, reference, small);
          await client.wipe();
        }
        const removed = await fetch(`${agent.admin}/api/blobs/${gone.digest}`, {
          method: 'DELETE',
          headers: { 'content-type': 'application/json' },
        });
        assert.ok(removed.ok, `the blob can be removed: ${removed.status}`);
        front.forget();
        await client.pull('docker.io/library/small:1');
        await expectImage(client, 'docker.io/library/small:1', small);
        assert.equal(front.bytes(), gone.bytes.length, 'only the missing blob is fetched');
      }
      assert.equal(front.count({ door: HUB_DOOR }) + front.count({ door: EXAMPLE_DOOR }), 0);
    },
  },
  {
    name: 'P2',
    title: 'ranges of every form get the status, headers and bytes of the specification',
    boundSeconds: 30,
    needs: [],
    run: async (stage) => {
      await using agent = await agentOf(stage);
      const layer = imageFor(stage.images.small).layers.at(1);
      assert.ok(layer);
      const size = layer.bytes.length;
      const address = `${agent.url}/v2/docker.io/library/small/blobs/${layer.digest}`;
      for (const temperature of ['cold', 'warm']) {
        const expected: readonly (readonly [string, number, number])[] = [
          ['bytes=0-', 0, size],
          ['bytes=-5', size - 5, size],
          ['bytes=7-11', 7, 12],
          [`bytes=${size - 1}-`, size - 1, size],
          [`bytes=1000-${size * 2}`, 1000, size],
          [`bytes=-${size * 2}`, 0, size],
        ];
        for (const [range, start, end] of expected) {
          const answer = await fetch(address, { headers: { range } });
          assert.equal(answer.status, 206, `${temperature} ${range}`);
          assert.equal(answer.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`);
          assert.equal(answer.headers.get('content-length'), `${end - start}`);
          assert.ok(Buffer.from(await answer.arrayBuffer()).equals(layer.bytes.subarray(start, end)), range);
        }
        const beyond = await fetch(address, { headers: { range: `bytes=${size}-` } });
        assert.equal(beyond.status, 416);
        assert.equal(beyond.headers.get('content-range'), `bytes */${size}`);
        await beyond.arrayBuffer();
        const several = await fetch(address, { headers: { range: 'bytes=0-1,5-6' } });
        assert.ok([200, 206, 400].includes(several.status));
        const body = Buffer.from(await several.arrayBuffer());
        if (several.status === 200) assert.ok(body.equals(layer.bytes));
      }
      const whole = stage.origin.front.bytes({ door: AGENT_DOOR });
      assert.ok(whole <= blobBytes(imageFor(stage.images.small)), 'ranges do not fetch anything twice');
    },
  },
];
