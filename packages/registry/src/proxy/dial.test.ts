import { once } from 'node:events';
import { createServer, type LookupFunction } from 'node:net';
import { expect, test } from 'vitest';
import { dialer } from './dial.ts';
import { parseAuthority, type Target } from './target.ts';

const never = new AbortController().signal;

function target(text: string): Target {
  const parsed = parseAuthority(text, undefined);
  if (!parsed) throw new Error(text);
  return parsed;
}

/** Knows one name; tells how often it was asked. */
function lookupOf(...answers: readonly string[]) {
  let asked = 0;
  const lookup: LookupFunction = (_host, _options, callback) => {
    asked += 1;
    callback(
      null,
      answers.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return { lookup, asked: () => asked };
}

test.each([
  '127.0.0.1:80',
  '127.8.9.1:443',
  '0.0.0.0:443',
  '169.254.169.254:80',
  '100.100.100.200:80',
  '224.0.0.1:80',
  '255.255.255.255:80',
  '[::1]:443',
  '[::]:443',
  '[0:0:0:0:0:0:0:1]:443',
  '[::ffff:127.0.0.1]:443',
  '[::ffff:7f00:1]:443',
  '[::127.0.0.1]:443',
  '[::ffff:169.254.169.254]:80',
  '[64:ff9b::7f00:1]:443',
  '[2002:7f00:1::]:443',
  '[fe80::1]:443',
  '[fd00:ec2::254]:80',
  '[ff02::1]:443',
])('nobody is led to %s', async (text) => {
  const { lookup, asked } = lookupOf('192.0.2.1');
  await expect(dialer({ lookup, isOwn: () => false })(target(text), never)).rejects.toMatchObject({ code: 'denied' });
  expect(asked()).toBe(0);
});

test.each([['127.0.0.1'], ['169.254.169.254'], ['192.0.2.1', '127.0.0.1'], ['::1'], ['::ffff:127.0.0.1'], []])(
  'nobody is led to a name that means %s',
  async (...addresses) => {
    const { lookup } = lookupOf(...addresses);
    const dial = dialer({ lookup, isOwn: () => false });
    await expect(dial(target('evil.test:443'), never)).rejects.toMatchObject({ code: 'denied' });
  },
);

test('nobody is led to a port of this agent, whatever address of this host it is asked by', async () => {
  const { lookup } = lookupOf('192.0.2.1');
  const dial = dialer({ lookup, isOwn: (address, port) => address === '192.0.2.1' && port === 5052 });
  await expect(dial(target('myself.test:5052'), never)).rejects.toMatchObject({ code: 'denied' });
});

test('a name is looked up once, and only what it meant then is connected to', async () => {
  await using server = createServer((socket) => socket.end());
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const { lookup, asked } = lookupOf('203.0.113.1');
  const late = AbortSignal.timeout(50);
  // Whatever a network makes of that address, it is not the server that the system's resolver would find.
  await expect(dialer({ lookup, isOwn: () => false })(target(`localhost:${port}`), late)).rejects.toThrow();
  expect(asked()).toBe(1);
});
