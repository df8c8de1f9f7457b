import { execFileSync } from 'node:child_process';
import { describe as words } from '@drayage/core';
import { afterEach, expect, test, vi } from 'vitest';
import { credentialsOf } from './credentials.ts';
import { tempFile } from './temp-file.ts';
import type { CredentialSettings } from './types.ts';

const alice = { kind: 'password', username: 'alice', password: 's3:cret' };
const auth = btoa('alice:s3:cret');

afterEach(() => vi.unstubAllEnvs());

test.each<[string, object, unknown]>([
  ['the name of the origin', { 'lab.test': { auth } }, alice],
  ['its address', { 'https://registry.lab.test/v2/': { auth } }, alice],
  ['a user name and a password in clear', { 'lab.test': { username: 'alice', password: 's3:cret' } }, alice],
  ['an identity token', { 'lab.test': { auth, identitytoken: 'i' } }, { kind: 'identity', token: 'i' }],
  ['a part of the origin only', { 'lab.test/team': { auth } }, undefined],
  ['an origin with a longer name', { 'lab.test.example': { auth } }, undefined],
  ['nothing', {}, undefined],
])('a docker configuration with %s', async (_, auths, expected) => {
  await using file = await tempFile(JSON.stringify({ auths }));
  expect(await reader({ kind: 'dockerConfig', file: file.path }).read()).toEqual(expected);
});

test('a configuration is found under the home folder, and Docker Hub under its old name', async () => {
  await using file = await tempFile(JSON.stringify({ auths: { 'https://index.docker.io/v1/': { auth } } }));
  const credential = { kind: 'dockerConfig', file: '~/file' } as const;
  const hub = { name: 'docker.io', url: 'https://registry-1.docker.io', caFile: undefined, realms: [], credential };
  expect(await credentialsOf(hub, file.folder, Date.now).read()).toEqual(alice);
});

test('a helper is asked for the server by name, and again only after a while or a refusal', async () => {
  let now = 0;
  const script =
    '#!/bin/sh\nread -r server\necho x >>"$0.log"\necho "{\\"Username\\":\\"$server $1\\",\\"Secret\\":\\"$(wc -l <"$0.log")\\"}"\n';
  await using helper = await tempFile(script, 'docker-credential-lab', 0o700);
  await using file = await tempFile(
    JSON.stringify({ credHelpers: { 'lab.test': 'lab' }, auths: { 'lab.test': { auth } } }),
  );
  vi.stubEnv('PATH', `${helper.folder}:/usr/bin:/bin`);
  const credentials = reader({ kind: 'dockerConfig', file: file.path }, () => now);
  const asked = async () => {
    const credential = await credentials.read();
    return credential?.kind === 'password' && [credential.username, credential.password.trim()];
  };
  expect(await asked()).toEqual(['lab.test get', '1']);
  expect(await asked()).toEqual(['lab.test get', '1']);
  now = 61_000;
  expect(await asked()).toEqual(['lab.test get', '2']);
  credentials.forget();
  expect(await asked()).toEqual(['lab.test get', '3']);
});

test.each([
  ['a helper that has nothing', 'echo "credentials not found in native keychain"; exit 1', undefined],
  ['a helper with an identity token', `echo '{"Username":"<token>","Secret":"i"}'`, { kind: 'identity', token: 'i' }],
])('%s is understood', async (_, script, expected) => {
  await using helper = await tempFile(`#!/bin/sh\n${script}\n`, 'docker-credential-lab', 0o700);
  vi.stubEnv('PATH', `${helper.folder}:/usr/bin:/bin`);
  expect(await reader({ kind: 'helper', helper: 'lab' }).read()).toEqual(expected);
});

test.each([
  ['fails', 'echo s3cret; echo s3cret >&2; exit 1', 'lab'],
  ['talks nonsense', 'echo s3cret', 'lab'],
  ['never stops talking', 'yes s3cret', 'lab'],
  ['is not there', '', 'missing'],
  ['has a path for a name', '', '../bin/sh'],
])('a helper that %s is an error which repeats nothing of its words', async (_, script, name) => {
  await using helper = await tempFile(`#!/bin/sh\n${script}\n`, 'docker-credential-lab', 0o700);
  vi.stubEnv('PATH', `${helper.folder}:/usr/bin:/bin`);
  const error = await reader({ kind: 'helper', helper: name })
    .read()
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'unauthorized' });
  expect(words(error)).not.toContain('s3cret');
});

test.each([
  ['a user name and a password', { 'https://registry.lab.test/v1/': { auth, email: 'a@example.com' } }, alice],
  ['entries of others only', { 'other.test': { auth } }, undefined],
])('the older .dockercfg with %s is understood', async (_, config, expected) => {
  await using file = await tempFile(JSON.stringify(config));
  expect(await reader({ kind: 'dockerConfig', file: file.path }).read()).toEqual(expected);
});

test('an empty entry beside a helper is none, and a pipe or an empty file in place of a secret is an error', async () => {
  await using file = await tempFile(JSON.stringify({ auths: { 'lab.test': {} }, credHelpers: { 'other.test': 'x' } }));
  expect(await reader({ kind: 'dockerConfig', file: file.path }).read()).toBeUndefined();
  execFileSync('mkfifo', [`${file.path}.pipe`]);
  await using empty = await tempFile('\n');
  for (const passwordFile of [`${file.path}.pipe`, empty.path]) {
    const error = reader({ kind: 'password', username: 'alice', passwordFile }).read();
    await expect(error).rejects.toMatchObject({ code: 'unauthorized', message: expect.stringContaining(passwordFile) });
  }
});

test('a file that is missing or no configuration is named, and nothing of it is repeated', async () => {
  await using file = await tempFile('s3cret');
  const gone = reader({ kind: 'password', username: 'alice', passwordFile: `${file.path}.gone` }).read();
  await expect(gone).rejects.toMatchObject({ code: 'unauthorized', message: expect.stringContaining('.gone') });
  const error = await reader({ kind: 'dockerConfig', file: file.path })
    .read()
    .catch((thrown: unknown) => thrown);
  expect(words(error)).toContain(file.path);
  expect(words(error)).not.toContain('s3cret');
});

function reader(credential: CredentialSettings, now = Date.now) {
  return credentialsOf(
    { name: 'lab.test', url: 'https://registry.lab.test', caFile: undefined, realms: [], credential },
    '/',
    now,
  );
}
