import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const NEIGHBOURS = join(import.meta.dirname, '../../packages/swarm/src/fake-neighbours.ts');

/** A network of its own, so that nothing is sent to the real one. */
const LAN = `
  set -e
  ip link set lo up
  ip link add lan type veth peer name far
  ip address add 10.96.0.1/24 dev lan
  ip link set far up
  ip link set lan up
  ip route add 224.0.0.0/4 dev lan
  exec "$@"
`;

function onOwnNetwork(...program: string[]) {
  return spawnSync('unshare', ['--net', 'sh', '-c', LAN, 'sh', ...program], { encoding: 'utf8', timeout: 15_000 });
}

const isPossible = onOwnNetwork('true').status === 0 || process.env['CI'] !== undefined;

test.runIf(isPossible)(
  'members find each other on the local network by multicast alone (needs a network namespace)',
  () => {
    const { status, stderr } = onOwnNetwork(process.execPath, NEIGHBOURS);
    expect(stderr).toBe('');
    expect(status).toBe(0);
  },
);
