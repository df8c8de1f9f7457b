import { type PiecePlan, pieceSpan, planPieces } from '@drayage/core';
import type { HomeEvent, MemberEvent, MemberId } from '@drayage/exchange';
import { type Chance, seededChance } from './chance.ts';
import { castHosts, type Host } from './host.ts';
import { createNetwork, type Flow, type Network } from './network.ts';
import type { Scenario } from './scenario.ts';
import { createTimeline, type Timeline } from './timeline.ts';

/** Everything that is simulated, at one moment. Times in ms. */
export interface World {
  readonly scenario: Scenario;
  readonly plan: PiecePlan;
  readonly chance: Chance;
  readonly hosts: readonly Host[];
  /** The number of the origin among the ends of the network. */
  readonly origin: number;
  readonly network: Network;
  readonly timeline: Timeline<() => void>;
  readonly halfRtt: number;
  readonly limitMs: number;
  readonly tally: Tally;
  /** Lets a host take in an event, as a member or as a home, and carries out what it decides. */
  readonly step: (host: Host, event: MemberEvent) => void;
  readonly stepHome: (host: Host, event: HomeEvent) => void;
  now: number;
  /** The origin answers nothing. */
  isOut: boolean;
  /** Honest hosts that are alive and have not got the blob. */
  unfinished: number;
}

/** What is counted while the simulation runs. */
interface Tally {
  originBytes: number;
  originRequests: number;
  peerBytes: number;
  /** Of these, bytes that did not leave their zone. */
  nearBytes: number;
  wastedBytes: number;
  messages: number;
  events: number;
  quarantines: number;
  /** What must never happen, in words. */
  readonly violations: string[];
}

export function createWorld(scenario: Scenario, steps: Pick<World, 'step' | 'stepHome'>): World {
  const plan = planPieces(scenario.size);
  const chance = seededChance(scenario.seed);
  const { hosts, uplinks, downlinks, limitMs } = castHosts(scenario, plan, chance);
  return {
    ...steps,
    scenario,
    plan,
    chance,
    hosts,
    origin: scenario.hosts,
    network: createNetwork(uplinks, downlinks),
    timeline: createTimeline(),
    halfRtt: 500 * scenario.rtt,
    limitMs,
    tally: {
      originBytes: 0,
      originRequests: 0,
      peerBytes: 0,
      nearBytes: 0,
      wastedBytes: 0,
      messages: 0,
      events: 0,
      quarantines: 0,
      violations: [],
    },
    now: 0,
    isOut: false,
    unfinished: hosts.filter(({ vice }) => vice === undefined).length,
  };
}

export function hostOf(world: World, id: MemberId): Host {
  const host = world.hosts[id];
  if (!host) throw new Error(`no host ${id}`);
  return host;
}

/** Has something happen a while from now. */
export function later(world: World, ms: number, action: () => void): void {
  world.timeline.put(world.now + ms, action);
}

export function pieceBytes(world: World, piece: number): number {
  const { start, end } = pieceSpan(world.plan, piece);
  return end - start;
}

/** The hash of a piece as the origin sends it. */
export function trueHash(piece: number): string {
  return `${piece}`;
}

/** The hash of a piece that somebody changed. */
export function falseHash(piece: number, how: 'flipped' | 'forged', by: MemberId): string {
  return `${piece} ${how} by ${by}`;
}

export function isTrue(piece: number, hash: string | undefined): boolean {
  return hash === trueHash(piece);
}

export function violate(world: World, what: string): void {
  if (world.tally.violations.length < 20) world.tally.violations.push(`${Math.round(world.now)} ms: ${what}`);
}

/** One upload has the same key wherever it is looked up. */
export function uploadKey(world: World, to: MemberId, piece: number): number {
  return to * world.plan.count + piece;
}

/** Ends an upload half way: what came of it is of no use. */
export function stopUpload(world: World, host: Host, key: number, flow: Flow): void {
  world.tally.wastedBytes += world.network.stop(flow, world.now);
  host.uploads.delete(key);
}
