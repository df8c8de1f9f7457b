/** How many strangers may stand at the door, and how often one may come back. */
export interface DoorLimits {
  readonly pendingMax: number;
  /** Handshakes that an address may fail at once, and then per second. */
  readonly burst: number;
  readonly perSecond: number;
  /** Addresses that are remembered. */
  readonly addressesMax: number;
}

export const DOOR_LIMITS: DoorLimits = { pendingMax: 64, burst: 32, perSecond: 4, addressesMax: 4096 };

/** Keeps what strangers cost bounded. A handshake that succeeds costs its address nothing. */
export interface Door {
  /** Why whoever comes from there cannot come in now; undefined when it may, and must `leave` later. */
  enter(address: string): 'crowded' | 'hasty' | undefined;
  leave(address: string, isMember: boolean): void;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

export function openDoor({ pendingMax, burst, perSecond, addressesMax }: DoorLimits, now: () => number): Door {
  const buckets = new Map<string, Bucket>();
  let pending = 0;

  return {
    enter(address) {
      if (pending >= pendingMax) return 'crowded';
      const bucket = bucketOf(address);
      if (bucket.tokens < 1) return 'hasty';
      bucket.tokens -= 1;
      pending += 1;
      return undefined;
    },
    leave(address, isMember) {
      pending -= 1;
      const bucket = buckets.get(address);
      if (bucket && isMember) bucket.tokens = Math.min(burst, bucket.tokens + 1);
    },
  };

  function bucketOf(address: string): Bucket {
    const at = now();
    const { tokens, filledAt } = buckets.get(address) ?? { tokens: burst, filledAt: at };
    const bucket = { tokens: Math.min(burst, tokens + ((at - filledAt) / 1000) * perSecond), filledAt: at };
    // The address that came least recently is first, and is forgotten first.
    buckets.delete(address);
    const [oldest] = buckets.keys();
    if (oldest !== undefined && buckets.size >= addressesMax) buckets.delete(oldest);
    buckets.set(address, bucket);
    return bucket;
  }
}
