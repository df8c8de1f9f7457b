import { expect, test } from 'vitest';
import { never, startLab } from './fake-lab.ts';
import { CERTIFICATE, reply, startFakeServer } from './fake-server.ts';
import { tempFile } from './temp-file.ts';

test('only origins on the list exist, and only proper repository names', async () => {
  await using lab = startLab({ url: 'http://127.0.0.1:1' });
  expect([lab.origins.has('lab'), lab.origins.has('docker.io')]).toEqual([true, false]);
  const open = (origin: string, path: string) => () => lab.origins.repository(origin, path, { kind: 'agent' });
  expect(open('docker.io', 'library/busybox')).toThrow(expect.objectContaining({ code: 'name_unknown' }));
  expect(open('lab', '../admin')).toThrow(expect.objectContaining({ code: 'name_invalid' }));
  const tag = lab.repository().getManifest('../../admin', undefined, never);
  await expect(tag).rejects.toMatchObject({ code: 'digest_invalid' });
});

test.each(['ftp://a', 'https://user:secret@a', 'https://a/path', 'https://a?q', 'nonsense'])(
  '%s is no origin',
  (url) => {
    expect(() => startLab({ url })).toThrow(expect.objectContaining({ code: 'options_invalid' }));
  },
);

test('a private authority is trusted when its file is named, and only then', async () => {
  await using authorities = await tempFile(CERTIFICATE);
  await using registry = await startFakeServer((_, response) => reply(response, 404, ''), 'https');
  await using trusting = startLab({ url: registry.url, caFile: authorities.path });
  expect(await trusting.repository().headManifest('latest', never)).toBeUndefined();
  await using usual = startLab({ url: registry.url });
  await expect(usual.repository().headManifest('latest', never)).rejects.toMatchObject({ code: 'origin_unavailable' });
});

test('an authority file that cannot be used is named at the start', async () => {
  await using file = await tempFile('no certificate');
  expect(() => startLab({ url: 'https://a', caFile: file.path })).toThrow(file.path);
  expect(() => startLab({ url: 'https://a', caFile: '/nowhere/ca.pem' })).toThrow('/nowhere/ca.pem');
});
