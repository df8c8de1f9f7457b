import { expect, test } from 'vitest';
import { fakeMembers } from './fake-members.ts';
import { addImage, startLab } from './fake-parts.ts';
import type { OriginRules } from './policy.ts';

const HOUR_MS = 3600 * 1000;

/** A host that never asked about a repository, members that hold an image of it, and an origin that is gone. */
async function scene(rules: Readonly<Record<string, OriginRules>> = {}) {
  const members = fakeMembers();
  const lab = await startLab(rules, { members });
  const image = addImage(lab.hub, 'library/app', '1');
  members.held.set(image.digest, image.bytes);
  for (const digest of [image.digest, image.config, image.layer]) {
    members.vouched.add(`docker.io/library/app ${digest}`);
  }
  // The pulls of this host find blobs elsewhere too.
  await lab.store.put(image.layer, image.layerBytes);
  await lab.store.put(image.config, Buffer.from('{"tag":"1"}'));
  lab.hub.state = 'down';
  const base = `${lab.base}/v2/library/app`;
  const ask = async (what: string, method = 'GET') => {
    const answer = await fetch(`${base}/${what}`, { method });
    await answer.arrayBuffer();
    return answer.status;
  };
  return { ...image, lab, members, ask };
}

const vouches = (asked: readonly string[]) => asked.filter((question) => question.startsWith('vouch'));

test('with the origin gone a new host pulls by digest what a member proved public: manifest, config and layers', async () => {
  const { lab, members, ask, digest, config, layer } = await scene();
  await using _ = lab;
  expect(await ask(`manifests/${digest}`, 'HEAD')).toBe(200);
  expect(await ask(`manifests/${digest}`)).toBe(200);
  expect(await ask(`blobs/${config}`)).toBe(200);
  expect(await ask(`blobs/${layer}`, 'HEAD')).toBe(200);
  expect(await ask(`blobs/${layer}`)).toBe(200);
  expect(vouches(members.asked)).toEqual([`vouch docker.io/library/app ${digest}`]);
});

test('an origin that swallows every question costs one wait, and then nobody waits for it', async () => {
  const { lab, ask, digest, config, layer } = await scene();
  await using _ = lab;
  lab.hub.state = 'up';
  const old = addImage(lab.hub, 'library/old', '1');
  const oldUrl = `${lab.base}/v2/library/old/manifests/${old.digest}`;
  await fetch(oldUrl);
  lab.clock.now += 48 * HOUR_MS;
  lab.hub.state = 'silent';
  const startedAt = performance.now();
  expect(await ask(`manifests/${digest}`)).toBe(200);
  const waitedMs = performance.now() - startedAt;
  expect(waitedMs).toBeLessThan(6000);
  expect(await ask(`blobs/${config}`)).toBe(200);
  expect(await ask(`blobs/${layer}`)).toBe(200);
  expect((await fetch(oldUrl)).status).toBe(200);
  expect(performance.now() - startedAt - waitedMs).toBeLessThan(1000);
}, 20_000);

test('nobody is believed who does not vouch, and what was never seen in the repository is not given', async () => {
  const { lab, members, ask, digest, layer } = await scene();
  await using _ = lab;
  members.vouched.clear();
  expect(await ask(`manifests/${digest}`)).toBe(404);
  expect(await ask(`blobs/${layer}`)).toBe(404);
  const alone = await startLab();
  await using _alone = alone;
  alone.hub.state = 'down';
  expect((await fetch(`${alone.base}/v2/library/app/manifests/${digest}`)).status).toBe(404);
});

test('a tag is never taken from a member', async () => {
  const { lab, members, ask } = await scene();
  await using _ = lab;
  expect(await ask('manifests/1')).toBe(404);
  expect(members.asked).toEqual([]);
});

test('an origin that refuses is believed, now and for a day, whatever members say', async () => {
  const { lab, members, ask, digest } = await scene();
  await using _ = lab;
  lab.hub.state = 'private';
  expect(await ask(`manifests/${digest}`)).toBe(403);
  lab.hub.state = 'down';
  lab.clock.now += HOUR_MS;
  expect(await ask(`manifests/${digest}`)).toBe(404);
  expect(vouches(members.asked)).toEqual([]);
});

test("a member's word ends when the origin answers again", async () => {
  const { lab, ask, digest, layer } = await scene();
  await using _ = lab;
  expect(await ask(`manifests/${digest}`)).toBe(200);
  lab.hub.state = 'private';
  // It is asked in the background while nobody waits for it.
  await ask(`blobs/${layer}`);
  await expect.poll(() => ask(`blobs/${layer}`)).toBe(403);
  expect(await ask(`manifests/${digest}`)).toBe(403);
});

test("a member's word is forgotten after an hour, and is never this host's own proof", async () => {
  const { lab, members, ask, digest, layer } = await scene();
  await using _ = lab;
  expect(await ask(`manifests/${digest}`)).toBe(200);
  lab.clock.now += HOUR_MS;
  members.vouched.clear();
  expect(await ask(`manifests/${digest}`)).toBe(404);
  expect(await ask(`blobs/${layer}`)).toBe(404);
});

test('a repository known to be public still needs a word for a manifest that was never seen in it', async () => {
  const { lab, members, ask, digest } = await scene();
  await using _ = lab;
  lab.hub.state = 'up';
  const first = addImage(lab.hub, 'library/app', '0');
  expect(await ask(`manifests/${first.digest}`)).toBe(200);
  lab.hub.state = 'down';
  const foreign = addImage(lab.hub, 'library/other', '1', Buffer.from('another'));
  members.held.set(foreign.digest, foreign.bytes);
  expect(await ask(`manifests/${foreign.digest}`)).toBe(404);
  expect(await ask(`manifests/${digest}`)).toBe(200);
});

test("where the agent's own credential reads, no member's word is asked for", async () => {
  const { lab, members, ask, digest, layer } = await scene({ 'docker.io': { access: 'node' } });
  await using _ = lab;
  expect(await ask(`manifests/${digest}`)).toBe(404);
  expect(await ask(`blobs/${layer}`)).toBe(404);
  expect(vouches(members.asked)).toEqual([]);
});
