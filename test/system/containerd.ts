import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { expectImage } from '../lab/client.ts';
import { startContainerd } from '../lab/containerd.ts';
import { blobBytes, HELLO, imageFor, MIB } from '../lab/images.ts';
import { AGENT_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { until } from '../lab/process.ts';
import type { Scenario, Stage } from './scenario.ts';

const needs = ['containerd', 'ctr', 'runc'];
const RANGES = 8;
const RANGE_BYTES = 4 * MIB;
/** What a jump to where a reader waits may throw away: the piece that was on its way. */
const PIECE_BYTES = MIB / 4;
/** Connections that are kept for the next request. */
const OPEN_FILES_SLACK = 4;

const agentOf = ({ folder, origin }: Stage) => startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
const containerdOf = ({ folder, authority }: Stage) => startContainerd(join(folder, 'containerd'), authority.bundle);

/** containerd, by ctr and by its CRI service, in every way hosts.toml can send it. */
export const containerdScenarios: readonly Scenario[] = [
  {
    name: 'C1',
    title: 'containerd pulls by docker.io, _default, host:port, pull-only and override_path settings',
    boundSeconds: 90,
    needs,
    run: async (stage) => {
      await using _agent = await agentOf(stage);
      await using containerd = await containerdOf(stage);
      const { front } = stage.origin;
      const hub = { server: 'https://registry-1.docker.io' };
      const pulls = async (reference: string) => {
        for (const client of [containerd.ctr, containerd.cri]) {
          front.forget();
          await client.pull(reference);
          await expectImage(client, reference, stage.images.small);
          assert.equal(front.bytes({ door: HUB_DOOR }), 0, `${client.name} gets blobs through the agent`);
        }
        assert.equal(await containerd.ctr.run(reference), HELLO);
        await containerd.ctr.wipe();
        await containerd.cri.wipe();
      };
      await pulls('docker.io/library/small:1');
      containerd.mirrors({ _default: {} });
      await pulls('registry.example.com/team/small:1');
      await pulls('plain.example.com:5080/team/small:1');
      containerd.mirrors({ 'docker.io': { ...hub, capabilities: ['pull'] } });
      await pulls('docker.io/library/small:1');
      assert.ok(front.count({ door: HUB_DOOR, path: /manifests\/1/ }) > 0, 'the tag is resolved at the origin');
      containerd.mirrors({ 'registry.example.com': { path: '/v2/registry.example.com', overridePath: true } });
      await pulls('registry.example.com/team/small:1');
    },
  },
  {
    name: 'C2',
    title: 'containerd finishes from the origin when the agent stops half-way through a layer',
    boundSeconds: 60,
    needs,
    run: async (stage) => {
      await using agent = await agentOf(stage);
      await using containerd = await containerdOf(stage);
      const { front } = stage.origin;
      using _slow = front.fault({ door: AGENT_DOOR, path: /\/blobs\//, bytesPerSecond: 20 * MIB });
      const reference = 'docker.io/library/big:1';
      const pulled = containerd.ctr.pull(reference);
      await until('the middle of the layer', 30_000, () => front.bytes() > 20 * MIB);
      await agent.kill();
      await pulled;
      await expectImage(containerd.ctr, reference, stage.images.big);
      const rest = front.bytes({ door: HUB_DOOR });
      assert.ok(rest < blobBytes(imageFor(stage.images.big)), `only the rest comes from the origin, not ${rest} bytes`);
    },
  },
  {
    name: 'C3',
    title: 'eight open-ended ranges of one layer, each closed early, cost one download',
    boundSeconds: 60,
    needs: [],
    run: async (stage) => {
      await using agent = await agentOf(stage);
      const { front } = stage.origin;
      const big = imageFor(stage.images.big).layers.at(-1);
      assert.ok(big);
      using _slow = front.fault({ door: AGENT_DOOR, path: /\/blobs\//, bytesPerSecond: 40 * MIB });
      const address = `${agent.url}/v2/library/big/blobs/${big.digest}?ns=docker.io`;
      const openFiles = () => agent.metric('drayage_process_open_fds');
      const before = await openFiles();
      const parts = await Promise.all(
        Array.from({ length: RANGES }, (_, part) => readPart(address, part * RANGE_BYTES)),
      );
      for (const [part, { status, bytes }] of parts.entries()) {
        assert.equal(status, 206);
        const start = part * RANGE_BYTES;
        assert.ok(bytes.equals(big.bytes.subarray(start, start + RANGE_BYTES)), `range ${part} is what was asked`);
      }
      const whole = Buffer.from(await (await fetch(address)).arrayBuffer());
      assert.ok(whole.equals(big.bytes));
      const sent = front.bytes();
      assert.ok(sent >= big.bytes.length && sent <= big.bytes.length + RANGES * PIECE_BYTES, `the origin sent ${sent}`);
      await until('the sockets to close', 10_000, async () => (await openFiles()) <= before + OPEN_FILES_SLACK);
    },
  },
];

/** Reads four mebibytes from an offset on, then hangs up, as containerd 2.1 and later do. */
function readPart(address: string, start: number): Promise<{ status: number; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    const asked = request(address, { headers: { range: `bytes=${start}-` } }, async (answer) => {
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of answer) {
        chunks.push(chunk);
        length += chunk.length;
        if (length >= RANGE_BYTES) break;
      }
      resolve({ status: answer.statusCode ?? 0, bytes: Buffer.concat(chunks).subarray(0, RANGE_BYTES) });
    });
    asked.once('error', reject);
    asked.end();
  });
}
