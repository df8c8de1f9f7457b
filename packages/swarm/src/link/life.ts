import type { LinkReason } from './reason.ts';
import type { LinkLimits, LinkRates } from './types.ts';

/** Whether the other side of a link is there, and what passes. */
export interface Life extends Disposable {
  heard(bytes: number): void;
  /** The connection has taken so many bytes. */
  sent(bytes: number): void;
  /** Something other than signs of life went over the link. */
  worked(): void;
  /** A ping came back. */
  answered(): void;
  rates(): LinkRates;
}

export interface LifeParts {
  readonly limits: LinkLimits;
  /** Whether this side reads nothing at present, so that silence means nothing. */
  readonly isHeldBack: () => boolean;
  readonly isStuck: () => boolean;
  readonly ping: () => void;
  readonly over: (reason: LinkReason, problem: string) => void;
}

/** How much of a new measurement goes into a rate. */
const SMOOTHING = 0.3;

/**
 * Time is counted in looks, not read from a clock: a process that was stopped for a while must not take its own
 * absence for the silence of all others.
 */
export function watchLife({ limits, isHeldBack, isStuck, ping, over }: LifeParts): Life {
  const { lookEveryMs, pingAfterMs, silentMs, stuckMs, idleMs } = limits;
  const sent = meter(lookEveryMs);
  const received = meter(lookEveryMs);
  let silentForMs = 0;
  let deafForMs = 0;
  let idleForMs = 0;
  let stuckForMs = 0;
  let pingedAt: number | undefined;
  let roundTripMs: number | undefined;

  const timer = setInterval(() => {
    sent.look();
    received.look();
    const isDeaf = isHeldBack();
    silentForMs = isDeaf ? 0 : silentForMs + lookEveryMs;
    deafForMs = isDeaf ? deafForMs + lookEveryMs : 0;
    stuckForMs = isStuck() ? stuckForMs + lookEveryMs : 0;
    idleForMs += lookEveryMs;
    if (silentForMs >= silentMs) return over('silent', `gave no sign of life for ${silentForMs / 1000} s`);
    if (stuckForMs >= stuckMs) return over('stuck', `took nothing of what is sent for ${stuckForMs / 1000} s`);
    if (idleForMs >= idleMs) return over('idle', `was not used for ${idleForMs / 1000} s`);
    if (deafForMs >= pingAfterMs) {
      // Whoever reads nothing answers no ping, and must show unasked that it lives.
      deafForMs = 0;
      return ping();
    }
    if (silentForMs < pingAfterMs || pingedAt !== undefined) return;
    pingedAt = performance.now();
    ping();
  }, lookEveryMs).unref();

  return {
    heard(bytes) {
      received.add(bytes);
      silentForMs = 0;
    },
    sent(bytes) {
      sent.add(bytes);
      // What the connection has room for, the other side has taken.
      silentForMs = 0;
      stuckForMs = 0;
    },
    worked() {
      idleForMs = 0;
    },
    answered() {
      if (pingedAt !== undefined) roundTripMs = performance.now() - pingedAt;
      pingedAt = undefined;
    },
    rates: () => ({
      sentBytes: sent.total(),
      receivedBytes: received.total(),
      sentBytesPerSecond: sent.perSecond(),
      receivedBytesPerSecond: received.perSecond(),
      roundTripMs,
    }),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

interface Meter {
  add(bytes: number): void;
  look(): void;
  total(): number;
  perSecond(): number;
}

function meter(lookEveryMs: number): Meter {
  let total = 0;
  let before = 0;
  let perSecond = 0;
  return {
    add(bytes) {
      total += bytes;
    },
    look() {
      perSecond += SMOOTHING * (((total - before) * 1000) / lookEveryMs - perSecond);
      before = total;
    },
    total: () => total,
    perSecond: () => perSecond,
  };
}
