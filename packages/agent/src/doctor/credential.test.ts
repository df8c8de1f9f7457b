import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkCredentials } from './credential.ts';

let folder = '';
let server: Server;
let url = '';
/** A registry with one image, for one user. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drayage-credential-'));
  server = createServer(({ headers, url: path }, response) => {
    const isKnown = headers.authorization === `Basic ${btoa('alice:s3cret')}`;
    const isImage = path === '/v2/team/app/manifests/1';
    const type = 'application/vnd.oci.image.manifest.v1+json';
    response.writeHead(isKnown ? (isImage ? 200 : 404) : 401, {
      'www-authenticate': 'Basic realm="lab"',
      'content-type': type,
      'content-length': 2,
    });
    response.end('{}');
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
});

const images = [{ repository: 'lab.test/team/app', tag: '1' }];
const check = (passwordFile: string, known = images) => {
  const credential = { kind: 'password', username: 'alice', passwordFile } as const;
  const origin = { name: 'lab.test', url, realms: [], caFile: undefined, isProxied: undefined, rules: {} };
  const other = { ...origin, name: 'open.test', credential: undefined };
  return checkCredentials([{ ...origin, credential }, other], known, { home: '/', version: '0' });
};

function passwordOf(text: string): string {
  const path = join(folder, 'password');
  writeFileSync(path, text);
  return path;
}

test('an origin is shown the credential that is configured for it, and no other origin is asked', async () => {
  const good = [{ about: 'credential lab.test', state: 'good' }];
  expect(await check(passwordOf('s3cret\n'))).toMatchObject(good);
  expect(await check(passwordOf('s3cret\n'), [])).toMatchObject(good);
});

test('one that is refused is bad, or a warning where no image is known to ask for', async () => {
  expect(await check(passwordOf('wrong'))).toMatchObject([{ state: 'bad' }]);
  expect(await check(passwordOf('wrong'), [])).toMatchObject([
    { state: 'warning', advice: expect.stringContaining('drayage pull') },
  ]);
});

test('a file that cannot be read is bad, and named', async () => {
  const gone = join(folder, 'gone');
  expect(await check(gone, [])).toMatchObject([{ state: 'bad', finding: expect.stringContaining(gone) }]);
});
