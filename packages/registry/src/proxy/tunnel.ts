import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

export interface TunnelLimits {
  /** A tunnel on which nothing moves for this long is closed. */
  readonly idleMs: number;
  /** The same once one side has said its last. */
  readonly halfOpenIdleMs: number;
}

export const TUNNEL_LIMITS: TunnelLimits = { idleMs: 10 * 60_000, halfOpenIdleMs: 60_000 };

/** Carries bytes between two connections until both have ended, or nothing moves any more; then both are closed. Never rejects. */
export async function tunnel(one: Socket, other: Socket, limits: TunnelLimits): Promise<void> {
  const close = () => {
    one.destroy();
    other.destroy();
  };
  for (const socket of [one, other]) {
    socket.on('error', close);
    socket.setTimeout(limits.idleMs, close);
    socket.once('end', () => {
      for (const both of [one, other]) both.setTimeout(limits.halfOpenIdleMs);
    });
  }
  // How it ended tells nobody anything: an error has closed both sides, as the end does.
  await Promise.allSettled([pipeline(one, other), pipeline(other, one)]);
  close();
}
