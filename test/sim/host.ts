import type { PiecePlan } from '@drayage/core';
import { type Home, type Member, type MemberId, newMember, newStanding, newUplink } from '@drayage/exchange';
import { type Chance, shuffle } from './chance.ts';
import type { Flow } from './network.ts';
import { fluidLimit, LIES, type Scenario, SILENCES, type Vice } from './scenario.ts';

/** A host of the simulation: a member of the swarm, and home of the blob when others turn to it. Times in ms. */
export interface Host {
  readonly id: MemberId;
  readonly member: Member;
  readonly isSlow: boolean;
  readonly vice: Vice | undefined;
  readonly isRefused: boolean;
  readonly startAt: number;
  diesAt: number;
  home: Home | undefined;
  homeTickAt: number;
  isAlive: boolean;
  hasStarted: boolean;
  finishedAt: number;
  hasFailed: boolean;
  tickAt: number;
  /** Pieces whose bytes here are not the blob's, and the hash they have instead. */
  readonly wrong: Map<number, string>;
  /** Uploads under way, by receiver and piece. */
  readonly uploads: Map<number, Flow>;
  origin: OriginConnection | undefined;
}

/** A run that is fetched over one connection. */
export interface OriginConnection {
  next: number;
  readonly end: number;
  flow: Flow | undefined;
  isClosed: boolean;
}

export interface Cast {
  readonly hosts: Host[];
  readonly uplinks: Float64Array;
  readonly downlinks: Float64Array;
  readonly limitMs: number;
}

const SLOWDOWN = 0.1;

/** The hosts of a scenario, and who of them is slow, dies or lies. */
export function castHosts(scenario: Scenario, plan: PiecePlan, chance: Chance): Cast {
  const { hosts: count, hostRate, originRate } = scenario;
  const order = shuffle(count, chance);
  const slow = new Set(order.slice(0, Math.floor(count * scenario.slow)));
  const dying = new Set(order.slice(count - Math.floor(count * scenario.dying)));
  const vices = castVices(scenario, chance);
  const refused = new Set(shuffle(count, chance).slice(0, scenario.refused));
  const homes = shuffle(count, chance).slice(0, 3);

  const uplinks = new Float64Array(count + 1).fill(hostRate / 1000);
  for (const id of slow) uplinks[id] = (SLOWDOWN * hostRate) / 1000;
  const downlinks = uplinks.slice();
  const uplinkSum = uplinks.subarray(0, count).reduce((sum, uplink) => sum + 1000 * uplink, 0);
  uplinks[count] = originRate / 1000;
  downlinks[count] = 0;
  const limitMs = 1000 * fluidLimit(scenario, uplinkSum);

  const hosts = Array.from({ length: count }, (_, id): Host => {
    const startAt = 1000 * scenario.jitter * chance();
    const zone = scenario.zones > 0 ? `zone-${id % scenario.zones}` : undefined;
    return {
      id,
      member: newMember(
        {
          self: id,
          plan,
          homes,
          zone,
          uplink: newUplink(),
          standing: newStanding(),
          random: chance,
        },
        startAt,
      ),
      isSlow: slow.has(id),
      vice: vices.get(id),
      isRefused: refused.has(id),
      startAt,
      diesAt: dying.has(id) ? startAt + (0.1 + 0.8 * chance()) * limitMs : Number.POSITIVE_INFINITY,
      home: undefined,
      homeTickAt: Number.POSITIVE_INFINITY,
      isAlive: true,
      hasStarted: false,
      finishedAt: Number.NaN,
      hasFailed: false,
      tickAt: Number.POSITIVE_INFINITY,
      wrong: new Map(),
      uploads: new Map(),
      origin: undefined,
    };
  });
  homes.slice(0, scenario.homeDeaths).forEach((id, index) => {
    const host = hosts[id];
    if (host) host.diesAt = Math.min(host.diesAt, 1000 * scenario.homeDeathAt + 300 * index);
  });
  return { hosts, uplinks, downlinks, limitMs };
}

function castVices({ hosts, liars, forgers, mute }: Scenario, chance: Chance): Map<number, Vice> {
  const cast: (Vice | undefined)[] = [
    ...Array.from({ length: liars }, (_, index) => LIES[index % LIES.length]),
    ...Array.from({ length: forgers }, (): Vice => 'forges'),
    ...Array.from({ length: mute }, (_, index) => SILENCES[index % SILENCES.length]),
  ];
  const vices = new Map<number, Vice>();
  shuffle(hosts, chance).forEach((id, index) => {
    const vice = cast[index];
    if (vice) vices.set(id, vice);
  });
  return vices;
}
