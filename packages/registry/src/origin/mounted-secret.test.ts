import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256, describe as words } from '@drayage/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { reply, startFakeServer } from './fake-server.ts';

const digest = sha256(Buffer.from('blob'));
const ROTATIONS = 20;

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drayage-secret-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes a secret as a kubelet does: a new folder, and a link to it that is swapped in one step. */
async function mount(version: number, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(folder, `..v${version}`));
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, `..v${version}`, name), text);
    if (version === 1) await symlink(`..data/${name}`, join(folder, name));
  }
  await symlink(`..v${version}`, join(folder, '..next'));
  await rename(join(folder, '..next'), join(folder, '..data'));
  if (version > 1) await rm(join(folder, `..v${version - 1}`), { recursive: true });
}

const secretOf = (password: string) => ({ auth: btoa(`alice:${password}`) });
const FORMS = {
  '.dockerconfigjson': (password: string) => JSON.stringify({ auths: { lab: secretOf(password) } }),
  '.dockercfg': (password: string) => JSON.stringify({ lab: { ...secretOf(password), email: 'a@example.com' } }),
};

/** A registry that takes one password at a time. */
async function startRegistry() {
  let password = '';
  const server = await startFakeServer(({ headers }, response) => {
    if (headers.authorization === `Basic ${btoa(`alice:${password}`)}`) reply(response, 200, 'blob');
    else reply(response, 401, '', { 'www-authenticate': 'Basic realm="lab"' });
  });
  return {
    url: server.url,
    takes: (next: string) => {
      password = next;
    },
    seen: server.seen,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test.each(Object.entries(FORMS))(
  'a mounted %s is followed through every rotation, from the very next question on',
  async (name, form) => {
    await using registry = await startRegistry();
    await mount(1, { [name]: form('p1') });
    await using lab = startLab({ url: registry.url, credential: { kind: 'dockerConfig', file: join(folder, name) } });
    for (let version = 1; version <= ROTATIONS; version += 1) {
      if (version > 1) await mount(version, { [name]: form(`p${version}`) });
      registry.takes(`p${version}`);
      expect(await lab.repository().stat(digest, never)).toBe(4);
    }
  },
);

test('questions in the middle of rotations see the one secret or the other, never half of one', async () => {
  await using registry = await startRegistry();
  registry.takes('p1');
  await mount(1, { password: 'p1\n' });
  const credential = { kind: 'password', username: 'alice', passwordFile: join(folder, 'password') } as const;
  await using lab = startLab({ url: registry.url, credential });
  const rotating = (async () => {
    for (let version = 2; version <= ROTATIONS; version += 1) await mount(version, { password: 'p1\n' });
  })();
  const asking = Array.from({ length: 100 }, () => lab.repository().stat(digest, never));
  await expect(Promise.all([...asking, rotating])).resolves.toBeDefined();
});

test.each([
  ['goes', undefined, 'cannot be read'],
  ['is cut off', '{"auths": {"lab"', 'no docker configuration'],
  ['names the origin and no password', '{"auths": {"lab": {"auth": "YWxpY2U="}}}', 'holds no user and password'],
])('a secret that %s ends the use of the old one at once, and the file is named', async (_, text, problem) => {
  await using registry = await startRegistry();
  registry.takes('s3cret');
  await mount(1, { '.dockerconfigjson': FORMS['.dockerconfigjson']('s3cret') });
  const file = join(folder, '.dockerconfigjson');
  await using lab = startLab({ url: registry.url, credential: { kind: 'dockerConfig', file } });
  expect(await lab.repository().stat(digest, never)).toBe(4);
  await mount(2, text === undefined ? {} : { '.dockerconfigjson': text });
  const asked = registry.seen.length;
  const error = await lab
    .repository()
    .stat(digest, never)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'unauthorized' });
  expect(words(error)).toContain(file);
  expect(words(error)).toContain(problem);
  expect(words(error)).not.toContain('s3cret');
  expect(registry.seen.slice(asked).every(({ headers }) => headers.authorization === undefined)).toBe(true);
  await mount(3, { '.dockerconfigjson': FORMS['.dockerconfigjson']('s3cret') });
  expect(await lab.repository().stat(digest, never)).toBe(4);
});
