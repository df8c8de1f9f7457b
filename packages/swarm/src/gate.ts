import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import { type DoorLimits, openDoor } from './link/door.ts';

export interface GateLimits extends DoorLimits {
  /** Handshakes with whoever comes, in a second, and at once when it was quiet. */
  readonly handshakesPerSecond: number;
  readonly handshakesAtOnceMax: number;
}

/** A handshake and getting to know each other cost some 8 ms of CPU: half a core at most, however many come at once. */
export const GATE_LIMITS: GateLimits = {
  ...{ pendingMax: 256, burst: 64, perSecond: 4, addressesMax: 4096 },
  ...{ handshakesPerSecond: 60, handshakesAtOnceMax: 240 },
};

/**
 * Refuses connections beyond what we can bear before they cost anything: their members come again in a moment, to us or
 * to another. Whoever fails handshakes is refused sooner, so that strangers do not take the places of members.
 */
export function openGate(limits: GateLimits, now: () => number): ConnectionGater {
  const door = openDoor(limits, now);
  const takePlace = keepPlaces(limits, now);
  const inside = new WeakMap<MultiaddrConnection, (isMember: boolean) => void>();
  return {
    denyInboundConnection(connection) {
      const [, , address = ''] = connection.remoteAddr.toString().split('/');
      if (door.enter(address) !== undefined) return true;
      let isInside = true;
      const leave = (isMember: boolean) => {
        if (isInside) door.leave(address, isMember);
        isInside = false;
      };
      if (!takePlace()) {
        // It is not to blame for the crowd.
        leave(true);
        return true;
      }
      inside.set(connection, leave);
      connection.addEventListener('close', () => leave(false), { once: true });
      return false;
    },
    denyInboundEncryptedConnection(_member, connection) {
      // Only a member gets this far.
      inside.get(connection)?.(true);
      return false;
    },
  };
}

/** Whoever is refused takes nothing: a crowd that keeps coming is let in at the same rate. */
function keepPlaces({ handshakesPerSecond, handshakesAtOnceMax }: GateLimits, now: () => number): () => boolean {
  let left = handshakesAtOnceMax;
  let filledAt = now();
  return () => {
    const at = now();
    left = Math.min(handshakesAtOnceMax, left + ((at - filledAt) / 1000) * handshakesPerSecond);
    filledAt = at;
    if (left < 1) return false;
    left--;
    return true;
  };
}
