import { step } from './act.ts';
import { stepHome } from './act-home.ts';
import { checkEnd } from './checks.ts';
import { planFaults } from './faults.ts';
import type { Scenario } from './scenario.ts';
import { createWorld, type World } from './world.ts';

/** What came of a simulation. Times in seconds, from each host's own start; bytes as multiples of the blob. */
export interface Result {
  readonly hosts: number;
  readonly pieces: number;
  readonly limitSeconds: number;
  /** Over the hosts that are neither slow, dead nor vicious. */
  readonly slowestSeconds: number;
  readonly medianSeconds: number;
  readonly p99Seconds: number;
  readonly slowestOverLimit: number;
  readonly p99OverLimit: number;
  /** The slowest of those that have a tenth of the rate, over what that rate allows at best. */
  readonly slowHostsOverLimit: number | undefined;
  readonly egress: number;
  readonly originRequests: number;
  readonly wasted: number;
  /** Part of the bytes from members that came from the same zone. */
  readonly near: number;
  readonly messagesPerHost: number;
  readonly quarantines: number;
  readonly events: number;
  readonly violations: number;
  readonly violated: readonly string[];
  readonly wallSeconds: number;
}

/** A run that goes on for longer than this many times the limit, and this many ms, hangs. */
const HANGS_AFTER_LIMITS = 40;
const HANGS_AFTER_MS = 200_000;

export function simulate(scenario: Scenario): Result {
  const from = performance.now();
  const world: World = createWorld(scenario, {
    step: (host, event) => step(world, host, event),
    stepHome: (host, event) => stepHome(world, host, event),
  });
  for (const host of world.hosts) {
    world.timeline.put(host.startAt, () => {
      host.hasStarted = true;
      step(world, host, { kind: 'tick' });
    });
  }
  planFaults(world);
  run(world);
  checkEnd(world);
  return { ...measure(world), wallSeconds: (performance.now() - from) / 1000 };
}

function run(world: World): void {
  const { timeline, network, limitMs, scenario } = world;
  const end = 1000 * (scenario.jitter + scenario.outageTo) + HANGS_AFTER_LIMITS * limitMs + HANGS_AFTER_MS;
  while (world.unfinished > 0) {
    const flowAt = network.nextAt();
    const at = Math.min(flowAt, timeline.firstAt());
    if (!(at < end)) return;
    world.now = Math.max(world.now, at);
    if (flowAt <= timeline.firstAt()) network.finishNext(world.now);
    else timeline.take()?.();
  }
}

function measure(world: World): Omit<Result, 'wallSeconds'> {
  const { hosts, scenario, tally, plan } = world;
  const limitSeconds = world.limitMs / 1000;
  const secondsOf = (isSlow: boolean) =>
    hosts
      .filter((host) => host.isSlow === isSlow && host.vice === undefined && host.finishedAt >= 0)
      .map((host) => (host.finishedAt - host.startAt) / 1000)
      .sort((a, b) => a - b);
  const fast = secondsOf(false);
  const slow = secondsOf(true);
  const p99Seconds = quantile(fast, 0.99);
  const slowestSeconds = quantile(fast, 1);
  return {
    hosts: scenario.hosts,
    pieces: plan.count,
    limitSeconds,
    slowestSeconds,
    medianSeconds: quantile(fast, 0.5),
    p99Seconds,
    slowestOverLimit: slowestSeconds / limitSeconds,
    p99OverLimit: p99Seconds / limitSeconds,
    slowHostsOverLimit: slow.length > 0 ? (quantile(slow, 1) * scenario.hostRate) / (10 * scenario.size) : undefined,
    egress: tally.originBytes / scenario.size,
    originRequests: tally.originRequests,
    wasted: tally.wastedBytes / scenario.size,
    near: tally.nearBytes / Math.max(1, tally.peerBytes),
    messagesPerHost: tally.messages / scenario.hosts,
    quarantines: tally.quarantines,
    events: tally.events,
    violations: tally.violations.length,
    violated: tally.violations,
  };
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
