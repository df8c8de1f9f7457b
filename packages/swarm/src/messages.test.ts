import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { encodeMessage, readMessages } from './messages.ts';

async function read(chunks: Iterable<Buffer>): Promise<readonly unknown[]> {
  const messages: unknown[] = [];
  for await (const { message } of readMessages(Readable.from(chunks))) messages.push(message);
  return messages;
}

test('messages come out whole however the stream cuts them', async () => {
  const sent = [{ a: 1 }, null, 'x'.repeat(1000), []];
  const bytes = Buffer.concat(sent.map(encodeMessage));
  for (const step of [1, 3, 7, 500, bytes.length]) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
      bytes.subarray(at * step, (at + 1) * step),
    );
    expect(await read(chunks)).toEqual(sent);
  }
});

test('the largest message byte by byte costs no more than reading it', async () => {
  const message = 'x'.repeat(256 * 1024 - 2);
  const bytes = encodeMessage(message);
  const chunks = (function* () {
    for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
  })();
  const from = process.cpuUsage();
  expect(await read(chunks)).toEqual([message]);
  expect(process.cpuUsage(from).user / 1000).toBeLessThan(2000);
});

test('what is too large is neither sent nor read', async () => {
  expect(() => encodeMessage('x'.repeat(256 * 1024))).toThrow('too large');
  await expect(read([Buffer.from([0, 4, 0, 1])])).rejects.toThrow('too large');
});
