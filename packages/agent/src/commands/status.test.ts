import { memoryStore } from '@drayage/core/testing';
import { expect, test } from 'vitest';
import { type AgentStatus, agentStatus } from '../agent-status.ts';
import { command, startFakeAdmin } from '../fake-admin.ts';
import { aMember, fakeSwarm } from '../fake-swarm.ts';

function statusOf(swarm: Parameters<typeof agentStatus>[0]['swarm']): AgentStatus {
  return agentStatus({
    version: '1.2.3',
    config: { data: '/var/lib/drayage', defaultOrigin: 'docker.io' },
    endpoint: ['127.0.0.1:5050'],
    admin: { host: '127.0.0.1', port: 5051 },
    uptimeMs: 61_000,
    isDraining: false,
    store: memoryStore(),
    origins: { status: () => [{ name: 'docker.io', url: 'https://registry-1.docker.io', breaker: 'closed' }] },
    swarm,
    proxy: undefined,
  });
}

test('a member tells who it is, where it is reached, and how many others there are', async () => {
  const swarm = fakeSwarm({ members: [aMember({}), aMember({})] });
  await using admin = await startFakeAdmin({ status: () => statusOf(swarm) });
  const { code, out } = await command(admin, 'status');
  expect(code).toBe(0);
  expect(out).toContain(`identity  ${swarm.member}
swarm     192.0.2.1:5052
links     192.0.2.1:5053
members   2
`);
  expect(JSON.parse((await command(admin, 'status', '--json')).out)).toMatchObject({
    identity: swarm.member,
    addresses: {
      endpoint: ['127.0.0.1:5050'],
      admin: '127.0.0.1:5051',
      swarm: ['192.0.2.1:5052'],
      links: ['192.0.2.1:5053'],
    },
    members: 2,
  });
});

test('a host without a key says that it is in no swarm', async () => {
  await using admin = await startFakeAdmin({ status: () => statusOf(undefined) });
  expect((await command(admin, 'status')).out).toContain('swarm     none: this agent has no swarm key\n');
  expect(JSON.parse((await command(admin, 'status', '--json')).out)).toMatchObject({ identity: null, members: 0 });
});
