import { generateKeyPair } from '@libp2p/crypto/keys';
import type { MultiaddrConnection, PeerId } from '@libp2p/interface';
import { expect, test, vi } from 'vitest';
import { startTestNode, testKey } from './fake-swarm.ts';
import { GATE_LIMITS, openGate } from './gate.ts';
import { startNode } from './node.ts';

const MEMBER = {} as PeerId;

function scene(limits = {}) {
  const time = { now: 0 };
  const gate = openGate({ ...GATE_LIMITS, ...limits }, () => time.now);
  return {
    time,
    /** Undefined when it is refused. */
    come(address: string) {
      const events = new EventTarget();
      const connection = Object.assign(events, { remoteAddr: `/ip4/${address}/tcp/4000` }) as unknown;
      if (gate.denyInboundConnection?.(connection as MultiaddrConnection)) return undefined;
      return {
        prove: () => gate.denyInboundEncryptedConnection?.(MEMBER, connection as MultiaddrConnection),
        fail: () => events.dispatchEvent(new Event('close')),
      };
    },
  };
}

test('a crowd is let in at a bounded rate, whoever it is made of', () => {
  const { time, come } = scene({ handshakesAtOnceMax: 10, handshakesPerSecond: 5 });
  const crowd = () => Array.from({ length: 100 }, (_, at) => come(`10.0.0.${at}`)).filter((one) => one !== undefined);
  expect(crowd()).toHaveLength(10);
  expect(crowd()).toHaveLength(0);
  time.now += 1000;
  expect(crowd()).toHaveLength(5);
  // However often it tries: what is not enough for one adds up.
  let late = 0;
  for (let at = 0; at < 128; at++) {
    time.now += 1000 / 128;
    late += crowd().length;
  }
  expect(late).toBe(5);
});

test('members behind one address do not use it up, and strangers there take no more than their part', () => {
  const { time, come } = scene({ burst: 3, perSecond: 1, handshakesAtOnceMax: 1000 });
  for (let at = 0; at < 50; at++) come('10.0.0.1')?.prove();
  for (let at = 0; at < 3; at++) come('10.0.0.1')?.fail();
  expect(come('10.0.0.1')).toBeUndefined();
  expect(come('10.0.0.2')).toBeDefined();
  time.now += 1000;
  expect(come('10.0.0.1')).toBeDefined();
});

test('who is refused in a crowd is not held to have failed, and who hangs up makes room', () => {
  const { time, come } = scene({
    burst: 2,
    perSecond: 0,
    handshakesAtOnceMax: 1,
    handshakesPerSecond: 1,
    pendingMax: 1,
  });
  const first = come('10.0.0.1');
  expect(first).toBeDefined();
  for (let at = 0; at < 5; at++) expect(come('10.0.0.1')).toBeUndefined();
  time.now += 1000;
  first?.prove();
  first?.fail();
  expect(come('10.0.0.1')).toBeDefined();
});

test('a member that a crowd kept out is in a moment later, and those inside are answered meanwhile', async () => {
  const keys = [testKey()];
  const limits = { ...GATE_LIMITS, handshakesAtOnceMax: 1, handshakesPerSecond: 4 };
  const identity = await generateKeyPair('Ed25519');
  const listen = [{ host: '127.0.0.1', port: 0 }];
  const home = await startNode({ identity, keys, listen, advertise: undefined, gate: limits });
  const members = await Promise.all(Array.from({ length: 6 }, () => startTestNode(keys)));
  const outcomes = await Promise.allSettled(members.map((one) => one.dial(home.getMultiaddrs())));
  expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
  const [inside] = members.filter((one) => one.getConnections().length > 0);
  expect(await inside?.services.ping.ping(home.peerId)).toBeGreaterThanOrEqual(0);
  for (const one of members) await vi.waitFor(() => one.dial(home.getMultiaddrs()), { timeout: 5000, interval: 100 });
  await vi.waitFor(() => expect(home.getPeers()).toHaveLength(6));
  await Promise.all([home, ...members].map((one) => one.stop()));
});
