import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { expect, test } from 'vitest';
import { fakeCertificate } from './fake-certificate.ts';
import { fakeMember, SWARM_KEY } from './fake-member.ts';
import { helloOf, stranger } from './fake-stranger.ts';
import { linkIdentity } from './identity.ts';

const NEW_KEY = randomBytes(32);
const refusedFor = (reason: string) => expect.objectContaining({ kind: 'link_refused', reason });

test('members with the same key link, and each knows who the other is', async () => {
  await using one = await fakeMember();
  await using other = await fakeMember();
  const link = await one.dial(other);
  await other.told.event('link_opened');
  expect(link.member).toBe(other.parts.identity.member);
  expect(other.told.links[0]?.member).toBe(one.parts.identity.member);
  link.end('closed');
  await other.told.line('ended left');
  expect(one.told.events.at(-1)).toMatchObject({ kind: 'link_ended', reason: 'closed' });
});

test('while keys are rotated, members with one key in common link', async () => {
  await using rotated = await fakeMember({ swarmKeys: [NEW_KEY, SWARM_KEY] });
  await using old = await fakeMember({ swarmKeys: [SWARM_KEY] });
  await using young = await fakeMember({ swarmKeys: [NEW_KEY] });
  for (const other of [old, young]) {
    expect((await rotated.dial(other)).isOpen()).toBe(true);
    expect((await other.dial(rotated)).isOpen()).toBe(true);
  }
  await expect(old.dial(young)).rejects.toThrow();
});

test('a member of another swarm is refused on both sides', async () => {
  await using member = await fakeMember();
  await using foreigner = await fakeMember({ swarmKeys: [NEW_KEY] });
  await expect(foreigner.dial(member)).rejects.toMatchObject({ reason: 'left' });
  expect(await member.told.event('link_refused')).toEqual(refusedFor('key'));
  expect(foreigner.told.links).toEqual([]);
  expect(member.told.links).toEqual([]);
});

test('whoever answers at an address in the place of the dialled member is told nothing', async () => {
  await using member = await fakeMember();
  await using other = await fakeMember();
  const absent = await linkIdentity(await generateKeyPair('Ed25519'));
  await expect(member.dial(other, { member: absent.member })).rejects.toMatchObject({ reason: 'identity' });
  expect(await other.told.event('link_refused')).toEqual(refusedFor('left'));
});

test('one who throws the proof of the other side back at it proves nothing', async () => {
  await using member = await fakeMember();
  const { member: name, certificate, key } = await linkIdentity(await generateKeyPair('Ed25519'));
  const mirror = createTlsServer({ cert: certificate, key, requestCert: true, rejectUnauthorized: false }, (socket) =>
    socket.on('error', () => {}).pipe(socket),
  ).listen(0, '127.0.0.1');
  await once(mirror, 'listening');
  const { port } = mirror.address() as AddressInfo;
  await expect(member.dial(member, { member: name, port })).rejects.toMatchObject({ reason: 'key' });
  mirror.close();
});

test('a proof made for one connection is worth nothing on another', async () => {
  await using member = await fakeMember();
  const identity = await linkIdentity(await generateKeyPair('Ed25519'));
  const [first, second] = [await stranger(member, identity), await stranger(member, identity)];
  second.write(helloOf(first, identity, member));
  expect(await member.told.event('link_refused')).toEqual(refusedFor('key'));
  first.destroy();
});

test('no certificate, or one without an identity, is refused before anything is read', async () => {
  await using member = await fakeMember();
  for (const identity of [{}, fakeCertificate({ extensions: () => [] })]) {
    const socket = await stranger(member, identity);
    let read = 0;
    socket.on('data', (bytes: Buffer) => (read += bytes.length));
    socket.write(randomBytes(1000));
    await once(socket, 'close');
    expect(read).toBe(0);
  }
  await member.told.event('link_refused');
  expect(member.told.events).toEqual([refusedFor('certificate'), refusedFor('certificate')]);
});

test('a member that is not wanted now is refused before it has proven anything', async () => {
  await using member = await fakeMember({ admits: () => false });
  await using other = await fakeMember();
  await expect(other.dial(member)).rejects.toMatchObject({ reason: 'left' });
  expect(member.told.events).toEqual([refusedFor('denied')]);
});

test('one who says nothing is told nothing, and let go', async () => {
  await using member = await fakeMember({ limits: { handshakeMs: 200 } });
  const identity = await linkIdentity(await generateKeyPair('Ed25519'));
  const socket = await stranger(member, identity);
  let read = 0;
  socket.on('data', (bytes: Buffer) => (read += bytes.length));
  await once(socket, 'close');
  expect(read).toBe(0);
  expect(member.told.events).toEqual([refusedFor('slow')]);
});

test('dialling where nobody answers fails in the time there is, and where nobody listens at once', async () => {
  await using member = await fakeMember({ limits: { handshakeMs: 200 } });
  const mute = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  await expect(member.dial(member, { port })).rejects.toMatchObject({ reason: 'slow' });
  mute.close();
  await expect(member.dial(member, { port: 1 })).rejects.toMatchObject({ reason: 'broken' });
});

test('failed handshakes use up what an address has, and members are not charged', async () => {
  const doorLimits = { pendingMax: 64, burst: 3, perSecond: 0, addressesMax: 8 };
  await using member = await fakeMember({ doorLimits });
  await using other = await fakeMember();
  await using foreigner = await fakeMember({ swarmKeys: [NEW_KEY] });
  for (let time = 0; time < 5; time++) (await other.dial(member)).end('closed');
  for (let time = 0; time < 4; time++) await expect(foreigner.dial(member)).rejects.toThrow();
  const reasons = member.told.events.flatMap((event) => (event.kind === 'link_refused' ? [event.reason] : []));
  expect(reasons).toEqual(['key', 'key', 'key', 'hasty']);
});

test('no more strangers wait at once than there is room for', async () => {
  const doorLimits = { pendingMax: 2, burst: 10, perSecond: 0, addressesMax: 8 };
  await using member = await fakeMember({ doorLimits, limits: { handshakeMs: 300 } });
  const { host, port } = member.listener;
  const ends = Array.from({ length: 3 }, () => {
    const socket = connect({ host, port }).on('error', () => {});
    return new Promise((resolve) => socket.on('close', resolve));
  });
  expect(await member.told.event('link_refused')).toEqual(refusedFor('crowded'));
  await Promise.all(ends);
  await using other = await fakeMember();
  expect((await other.dial(member)).isOpen()).toBe(true);
});
