import { expect, test } from 'vitest';
import { UPLINK_KEPT_MS, UPLINK_SENDING_MIN } from './limits.ts';
import { beginSending, endSending, newUplink, type Uplink } from './uplink.ts';

const BYTES = 100_000;

/** Sends pieces, so many at a time, of which each takes `ms`. */
function send(
  uplink: Uplink,
  from: number,
  { pieces, atATime, ms }: Record<'pieces' | 'atATime' | 'ms', number>,
): number {
  let now = from;
  for (let sent = 0; sent < pieces; sent += atATime) {
    for (let one = 0; one < atATime; one++) beginSending(uplink, now);
    now += ms;
    for (let one = 0; one < atATime; one++) endSending(uplink, BYTES, now);
  }
  return now;
}

test('an uplink is what goes out in a second while enough pieces are on their way', () => {
  const uplink = newUplink();
  send(uplink, 0, { pieces: 40, atATime: UPLINK_SENDING_MIN, ms: 200 });
  expect(uplink.bytesPerSecond).toBeGreaterThan(0.8 * 20 * BYTES * 0.25);
  expect(uplink.bytesPerSecond).toBeLessThan(1.2 * 20 * BYTES);
  expect(uplink.sending).toBe(0);
});

test('a piece or two at a time say nothing: whoever takes them may be slow', () => {
  const uplink = newUplink();
  send(uplink, 0, { pieces: 100, atATime: UPLINK_SENDING_MIN - 1, ms: 500 });
  expect(uplink.bytesPerSecond).toBe(0);
});

test('what the operator says is not reckoned anew', () => {
  const uplink = newUplink(7);
  send(uplink, 0, { pieces: 40, atATime: UPLINK_SENDING_MIN, ms: 200 });
  expect(uplink.bytesPerSecond).toBe(7);
});

test('slow takers bring it down a little at a time, fast ones up at once', () => {
  const uplink = newUplink();
  const later = send(uplink, 0, { pieces: 80, atATime: UPLINK_SENDING_MIN, ms: 100 });
  const fast = uplink.bytesPerSecond;
  send(uplink, later, { pieces: UPLINK_SENDING_MIN, atATime: UPLINK_SENDING_MIN, ms: 5000 });
  expect(uplink.bytesPerSecond).toBeGreaterThan(0.8 * fast);
  expect(uplink.bytesPerSecond).toBeLessThan(fast);
});

test('what nothing has borne out for long is forgotten', () => {
  const uplink = newUplink();
  const later = send(uplink, 0, { pieces: 40, atATime: UPLINK_SENDING_MIN, ms: 200 });
  beginSending(uplink, later + UPLINK_KEPT_MS + 1);
  expect(uplink.bytesPerSecond).toBe(0);
});
