import { expect, test } from 'vitest';
import { command, digest, fakeCatalog, startFakeAdmin } from '../fake-admin.ts';
import { aStory, fakeSwarm } from '../fake-swarm.ts';

test('a blob is told source by source, member by member, with what happened on the way', async () => {
  await using admin = await startFakeAdmin({ swarm: fakeSwarm({ stories: [aStory(digest)] }) });
  const { code, out } = await command(admin, 'explain', digest);
  expect(code).toBe(0);
  expect(out).toBe(`${digest}  6 B
  sealed after 2.1s, begun 1970-01-01T00:00:01.000Z
      1.0 MiB   10 %  from disk, of an earlier fill
      7.0 MiB   70 %  from 1 member
      2.0 MiB   20 %  from docker.io in 3 requests, 1 failed
    …KGZyaSHUC9 decided who may use the origin
    MEMBER       ZONE    BYTES    PIECES  WAS BUSY  HAD IT NOT  CALLED OFF  REJECTED
    …KGZyaSHUC9  rack-a  7.0 MiB  28      4         1           2           1
    +0.4s  the home did not answer; asked the next
`);
});

test('an image is told in sum, then blob by blob', async () => {
  const catalog = fakeCatalog({ recallTag: () => ({ digest, seenAt: 0 }) });
  const stories = [aStory(digest, { state: 'failed', problem: 'the origin went away' })];
  await using admin = await startFakeAdmin({ catalog, swarm: fakeSwarm({ stories }) });
  const { code, out } = await command(admin, 'explain', 'ghcr.io/team/app:1');
  expect(code).toBe(0);
  expect(out).toContain(`ghcr.io/team/app:1  ${digest}\n`);
  expect(out).toContain('1.0 MiB (10 %) from disk, 7.0 MiB (70 %) from members, 2.0 MiB (20 %) from the origin\n');
  expect(out).toContain('failed after 2.1s');
  expect(out).toContain('the origin went away');
});

test('a blob whose fill is forgotten is said to be on the disk', async () => {
  await using admin = await startFakeAdmin();
  expect((await command(admin, 'explain', digest)).out).toBe(
    `${digest}  6 B\n  on the disk; no recent fill was of it\n`,
  );
});

test('programs get all of it, and an exit code when there is nothing', async () => {
  await using admin = await startFakeAdmin({ swarm: fakeSwarm({ stories: [aStory(digest)] }) });
  const { out } = await command(admin, 'explain', digest, '--json');
  expect(JSON.parse(out)).toMatchObject({ blobs: [{ digest, stories: [{ fromMembers: [{ pieces: 28 }] }] }] });
  const missing = await command(admin, 'explain', 'busybox:9');
  expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('has not seen busybox:9') });
  const failed = JSON.parse((await command(admin, 'explain', 'busybox:9', '--json')).out);
  expect(failed).toMatchObject({ error: { code: 'manifest_unknown' } });
});
