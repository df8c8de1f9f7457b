/** What is simulated: who pulls, over what network, and what goes wrong. Times in seconds, rates in bytes a second. */
export interface Scenario {
  readonly hosts: number;
  readonly size: number;
  readonly hostRate: number;
  readonly originRate: number;
  /** What the origin gives one connection at most; 0 for no such limit. */
  readonly connectionRate: number;
  readonly rtt: number;
  /** News of pieces takes this long, on top of being batched. */
  readonly haveDelay: number;
  /** Hosts start at random within this time. */
  readonly jitter: number;
  /** Parts of the hosts. Slow ones have a tenth of the rate. */
  readonly slow: number;
  readonly dying: number;
  /** Numbers of hosts. */
  readonly liars: number;
  /** Liars whose lie only the whole digest shows. */
  readonly forgers: number;
  readonly mute: number;
  /** Homes that die, the first choice first, and when. */
  readonly homeDeaths: number;
  readonly homeDeathAt: number;
  /** When one of those who fetch from the origin dies; 0 for never. */
  readonly holderDeathAt: number;
  /** The origin answers nothing from `outageFrom` to `outageTo`. */
  readonly outageFrom: number;
  readonly outageTo: number;
  /** Hosts the origin turns away. */
  readonly refused: number;
  readonly zones: number;
  readonly seed: number;
}

export const PLAIN: Scenario = {
  hosts: 100,
  size: 2 ** 30,
  hostRate: 125e6,
  originRate: 1250e6,
  connectionRate: 0,
  rtt: 0.001,
  haveDelay: 0.0005,
  jitter: 0,
  slow: 0,
  dying: 0,
  liars: 0,
  forgers: 0,
  mute: 0,
  homeDeaths: 0,
  homeDeathAt: 0,
  holderDeathAt: 0,
  outageFrom: 0,
  outageTo: 0,
  refused: 0,
  zones: 0,
  seed: 1,
};

/** How a host fails those who rely on it. */
export type Vice =
  /** Flips bits in what it serves. */
  | 'flips'
  /** Says it has what it has not, and that it fetched what it did not. */
  | 'claims'
  /** Attests what the origin never sent. */
  | 'forges'
  /** Takes requests and leases, and does nothing. */
  | 'mute'
  /** Does everything at 1 KiB a second. */
  | 'dribbles';

export const LIES: readonly Vice[] = ['flips', 'claims'];
export const SILENCES: readonly Vice[] = ['mute', 'dribbles'];

/** The time a perfect swarm needs, in seconds. */
export function fluidLimit(scenario: Scenario, uplinks: number): number {
  const { hosts, size, hostRate, originRate } = scenario;
  return Math.max(size / originRate, size / hostRate, (hosts * size) / (originRate + uplinks));
}
