import { expect, test } from 'vitest';
import { command, startFakeAdmin } from '../fake-admin.ts';
import { aMember, fakeSwarm } from '../fake-swarm.ts';

test('members are a row each, and those left alone say why and for how long', async () => {
  const until = Date.now() + 7_200_000 + 30_000;
  const members = [
    aMember({}),
    aMember({
      member: '12D3KooWBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB',
      zone: undefined,
      addresses: ['192.0.2.3:5053', '[fd00::3]:5053'],
      isLinked: false,
      receivedBytesPerSecond: 0,
      roundTripMs: undefined,
      quarantine: { until, why: 'lie' },
    }),
  ];
  await using admin = await startFakeAdmin({ swarm: fakeSwarm({ members }) });
  const { code, out } = await command(admin, 'members');
  expect(code).toBe(0);
  expect(out.split('\n').map((line) => line.trimEnd())).toEqual([
    'MEMBER       ZONE    ADDRESS            LINKED  SENT     RECEIVED            RTT     QUARANTINE',
    '…KGZyaSHUC9  rack-a  192.0.2.2:5053     yes     3.0 MiB  5.0 MiB, 1.0 MiB/s  1.3 ms',
    '…BBBBBBBBBB          192.0.2.3:5053 +1  no      3.0 MiB  5.0 MiB                     sent wrong bytes, 2h 0m left',
    '',
  ]);
});

test('an agent that is alone says so, to people and to programs', async () => {
  await using admin = await startFakeAdmin();
  expect((await command(admin, 'members')).out).toContain('no other member is known');
  expect(JSON.parse((await command(admin, 'members', '--json')).out)).toEqual({ members: [] });
});
