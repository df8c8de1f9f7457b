import { UPLINK_KEPT_MS, UPLINK_MEMORY, UPLINK_RECKONED_MS, UPLINK_SENDING_MIN } from './limits.ts';

/** What a host's uplink gives: as its operator says, or as it shows while enough pieces go out at a time. Shared by all blobs. */
export interface Uplink {
  /** 0 while it is not known. */
  bytesPerSecond: number;
  readonly isGiven: boolean;
  /** Pieces on their way to other members. */
  sending: number;
  /** Pieces on their way from other members. */
  coming: number;
  /** What went out while enough were on their way, in how many ms, since it was last reckoned. */
  bytes: number;
  ms: number;
  reckonedAt: number;
  changedAt: number;
}

/** Zero when the operator says nothing. */
export function newUplink(bytesPerSecond = 0): Uplink {
  const isGiven = bytesPerSecond > 0;
  return { bytesPerSecond, isGiven, sending: 0, coming: 0, bytes: 0, ms: 0, reckonedAt: 0, changedAt: 0 };
}

export function beginSending(uplink: Uplink, now: number): void {
  pass(uplink, now);
  uplink.sending++;
}

/** `bytes` is zero when the piece was called off. */
export function endSending(uplink: Uplink, bytes: number, now: number): void {
  pass(uplink, now);
  if (isTold(uplink)) uplink.bytes += bytes;
  uplink.sending--;
  if (uplink.isGiven || uplink.ms < UPLINK_RECKONED_MS) return;
  const seen = (1000 * uplink.bytes) / uplink.ms;
  // Those who take slowly for a moment do not make it slow.
  uplink.bytesPerSecond = Math.max(seen, UPLINK_MEMORY * uplink.bytesPerSecond);
  uplink.bytes = 0;
  uplink.ms = 0;
  uplink.reckonedAt = now;
}

function pass(uplink: Uplink, now: number): void {
  if (isTold(uplink)) uplink.ms += now - uplink.changedAt;
  uplink.changedAt = now;
  // Who is taken for slow sends too little at a time to be taken for anything else.
  if (!uplink.isGiven && now - uplink.reckonedAt > UPLINK_KEPT_MS) uplink.bytesPerSecond = 0;
}

/** Fewer may be as slow as those who take them. */
function isTold({ sending }: Uplink): boolean {
  return sending >= UPLINK_SENDING_MIN;
}
