import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent } from '../lab/agent.ts';
import { startDocker } from '../lab/docker.ts';
import { MIB } from '../lab/images.ts';
import { AGENT_DOOR, HUB_DOOR } from '../lab/origin.ts';
import { noise } from '../lab/tar.ts';
import type { Scenario } from './scenario.ts';

const DATA_BYTES = 20 * MIB;
/** What a version that adds one small file may cost: its layer and its configuration. */
const NEW_VERSION_BYTES_MAX = 64 * 1024;

/** From a Dockerfile to a running container, and on to its next version. */
export const roadScenarios: readonly Scenario[] = [
  {
    name: 'road',
    title: 'build, push, pull and run; of the next version only the new layer leaves the origin',
    boundSeconds: 90,
    needs: ['dockerd', 'docker'],
    run: async ({ folder, origin, authority }) => {
      await using _agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url });
      await using docker = await startDocker(join(folder, 'docker'), authority.bundle);
      const context = join(folder, 'context');
      mkdirSync(context);
      copyFileSync('/bin/busybox', join(context, 'busybox'));
      writeFileSync(join(context, 'data'), noise(DATA_BYTES, 'road'));
      const base = 'FROM scratch\nCOPY busybox /bin/busybox\nCOPY data /data\n';

      const release = async (version: string, instructions: string) => {
        const name = `${origin.directHost}/library/road:${version}`;
        writeFileSync(join(context, 'Dockerfile'), `${base}${instructions}\n`);
        await docker.mustDocker(['build', '-q', '-t', name, context]);
        await docker.mustDocker(['push', '-q', name]);
      };
      await release('1', 'CMD ["/bin/busybox", "echo", "one"]');
      writeFileSync(join(context, 'greeting'), 'two');
      await release('2', 'COPY greeting /greeting\nCMD ["/bin/busybox", "cat", "/greeting"]');

      await docker.wipe();
      await docker.pull('road:1');
      assert.equal(await docker.run('road:1'), 'one');
      assert.ok(origin.front.bytes({ door: AGENT_DOOR }) > DATA_BYTES);

      await docker.wipe();
      origin.front.forget();
      await docker.pull('road:2');
      assert.equal(await docker.run('road:2'), 'two');
      const bytes = origin.front.bytes({ door: AGENT_DOOR });
      assert.ok(bytes > 0 && bytes < NEW_VERSION_BYTES_MAX, `the new version cost ${bytes} bytes`);
      assert.equal(origin.front.count({ door: HUB_DOOR }), 0);
    },
  },
];
