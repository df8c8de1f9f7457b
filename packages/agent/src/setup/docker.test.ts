import { expect, test } from 'vitest';
import { docker } from './docker.ts';
import type { Host } from './steps.ts';

/** A host whose dockerd, if it runs at all, cannot be asked. */
function silentHost(config: string): Host {
  return {
    files: { root: '/host', read: async () => config, list: async () => [], exists: async () => true },
    run: async () => undefined,
    get: async () => undefined,
    hangUp: () => false,
  };
}

test.each([
  ['put in place', '{"registry-mirrors": ["http://127.0.0.1:5050"]}', 'reload'],
  ['undone', '{}', 'restart'],
])('when a mirror is %s where no dockerd answers, one that runs is left to be told', async (_, config, verb) => {
  const target = { endpoint: '127.0.0.1:5050', origins: [] };
  expect(await docker.activate(target, ['/etc/docker/daemon.json'], silentHost(config))).toEqual([
    {
      about: 'docker',
      state: 'warning',
      finding: 'no dockerd answers here; it reads the new daemon.json when it starts',
      advice: `where it runs already: systemctl ${verb} docker`,
    },
  ]);
});
