import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_HOST } from '../lab/agent.ts';
import { startDocker } from '../lab/docker.ts';
import { podmanOn } from '../lab/podman.ts';
import { noise, tar } from '../lab/tar.ts';
import type { User } from '../lab/token-server.ts';
import {
  ALICE,
  BOB,
  BY_PASSWORD,
  BY_TOKEN,
  fetched,
  IMAGE_BYTES,
  LOCAL,
  NO_AUTHORITIES,
  onHost,
  PRIVATE_NEEDS,
  startPrivateLab,
} from './private.ts';
import type { Scenario } from './scenario.ts';

/** Pushes by users, each with a credential of its own. */
export const pushScenarios: readonly Scenario[] = [
  {
    name: 'A6',
    title:
      'dockerd and podman push by path with their own credential, others are refused; the other host pulls from this one',
    boundSeconds: 240,
    needs: [...PRIVATE_NEEDS, 'podman', 'dockerd', 'docker'],
    run: async ({ folder }) => {
      await using stage = await startPrivateLab(folder);
      const { one, two, image, origin } = stage;
      await using docker = await startDocker(join(one.folder, 'docker'), NO_AUTHORITIES, one.port.inside);
      const podman = podmanOn(two.port.inside, join(two.folder, 'podman'), NO_AUTHORITIES, [BY_TOKEN, BY_PASSWORD]);
      const login = async ({ name, password }: User) =>
        await onHost(one, docker.commandLine(['login', '-u', name, '-p', password, LOCAL]));
      const layer = join(one.folder, 'layer.tar');
      for (const name of [BY_TOKEN, BY_PASSWORD]) {
        writeFileSync(layer, tar([{ path: 'data', mode: 0o644, bytes: noise(IMAGE_BYTES, name) }]));
        const reference = `${LOCAL}/${name}/team/pushed:1`;
        await docker.mustDocker(['import', layer, reference]);
        assert.notEqual((await docker.docker(['push', '-q', reference])).code, 0, 'nobody is refused');
        if (name === BY_TOKEN) {
          await login(BOB);
          assert.notEqual((await docker.docker(['push', '-q', reference])).code, 0, 'bob is refused');
        }
        await login(ALICE);
        await docker.mustDocker(['push', '-q', reference]);
        await onHost(one, docker.commandLine(['logout', LOCAL]));

        await podman.login(`${AGENT_HOST}/${name}`, ALICE);
        const before = await fetched(two.agent, 'origin');
        await podman.pull(`${name}/team/pushed:1`);
        assert.equal(await podman.configDigest(`${name}/team/pushed:1`), await docker.configDigest(reference));
        assert.equal(await fetched(two.agent, 'origin'), before, 'the origin sends no blob');
        const again = `${AGENT_HOST}/${name}/team/again:1`;
        await podman.podman(['push', '-q', '--tls-verify=false', `${name}/team/pushed:1`, again]);
      }
      const pushes = origin.tokens.asked.filter(({ scopes }) => scopes.some((scope) => scope.endsWith(',push')));
      assert.ok(pushes.length > 0 && image.bytes > 0);
      for (const { scopes } of pushes) for (const scope of scopes) assert.match(scope, /^repository:team\//);
    },
  },
];
