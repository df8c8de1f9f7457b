import { PLAIN, type Scenario } from './scenario.ts';
import type { Result } from './simulate.ts';

/** A row of the acceptance table: what is simulated, and what must come of it. */
export interface Case {
  readonly title: string;
  readonly scenario: Scenario;
  readonly timeMax: number;
  /** Which of the times is held against the limit. */
  readonly time: 'slowestOverLimit' | 'p99OverLimit';
  readonly egressMax: number;
}

const GIGABIT = 125e6;
/** Sixteen hosts as they are set up on one machine. */
const SIXTEEN: Partial<Scenario> = { hosts: 16, size: 2 ** 27, hostRate: GIGABIT / 10, originRate: GIGABIT / 10 };

export const CASES: readonly Case[] = [
  row('1,000 hosts', { hosts: 1000 }, 1.15, 1.005),
  row('1,000 hosts, origin as slow as one host', { hosts: 1000, originRate: GIGABIT }, 1.3, 1.01),
  {
    ...row(
      '1,000 hosts, 5 s jitter, 10 % slow, 5 % dying, 50 ms news',
      {
        hosts: 1000,
        jitter: 5,
        slow: 0.1,
        dying: 0.05,
        haveDelay: 0.05,
      },
      1.2,
      1.01,
    ),
    time: 'p99OverLimit',
  },
  row(
    '256 hosts, slow origin, 20 MB/s a connection',
    { hosts: 256, originRate: GIGABIT, connectionRate: 20e6 },
    1.3,
    1.01,
  ),
  row('100 hosts, home dies', { hosts: 100, homeDeaths: 1, homeDeathAt: 0.6 }, 1.25, 1.05),
  row('100 hosts, a lease holder dies', { hosts: 100, holderDeathAt: 0.6 }, 1.25, 1.05),
  row(
    '100 hosts, slow origin, home and a lease holder die half way',
    {
      hosts: 100,
      originRate: GIGABIT,
      homeDeaths: 1,
      homeDeathAt: 4.3,
      holderDeathAt: 4,
    },
    1.4,
    1.05,
  ),
  row(
    '100 hosts, slow origin out from 3 s to 8 s',
    {
      hosts: 100,
      originRate: GIGABIT,
      outageFrom: 3,
      outageTo: 8,
    },
    2,
    1.05,
  ),
  row('16 hosts', SIXTEEN, 1.15, 1.005),
  row('16 hosts, 1 of them lies', { ...SIXTEEN, liars: 1 }, 1.65, 1.5),
  row('16 hosts, 4 of them lie', { ...SIXTEEN, liars: 4 }, 1.65, 1.5),
  row('16 hosts, 4 of them stall or dribble', { ...SIXTEEN, mute: 4 }, 1.65, 1.05),
  row('16 hosts, 1 of them attests lies', { ...SIXTEEN, forgers: 1, seed: 2 }, 1.4, 1.3),
  row('16 hosts, 4 of them attest lies', { ...SIXTEEN, forgers: 4, seed: 2 }, 1.9, 1.6),
  row('10,000 hosts', { hosts: 10_000 }, 1.2, 1.005),
];

function row(title: string, changes: Partial<Scenario>, timeMax: number, egressMax: number): Case {
  return { title, scenario: { ...PLAIN, ...changes }, timeMax, time: 'slowestOverLimit', egressMax };
}

export const HEADING: string = [
  'case'.padEnd(62),
  'limit s',
  'median',
  '   p99',
  'slowest',
  ' goal',
  'egress',
  ' goal',
  'wasted',
  'wrong',
  '',
].join('  ');

export function hasPassed({ time, timeMax, egressMax }: Case, result: Result): boolean {
  return result[time] <= timeMax && result.egress <= egressMax && result.violations === 0;
}

/** One line; times as multiples of the limit. */
export function formatRow(one: Case, result: Result): string {
  const over = (seconds: number) => (seconds / result.limitSeconds).toFixed(3);
  return [
    one.title.padEnd(62),
    result.limitSeconds.toFixed(2).padStart(7),
    over(result.medianSeconds).padStart(6),
    over(result.p99Seconds).padStart(6),
    over(result.slowestSeconds).padStart(7),
    one.timeMax.toFixed(2).padStart(5),
    result.egress.toFixed(4).padStart(6),
    one.egressMax.toFixed(3).padStart(5),
    result.wasted.toFixed(3).padStart(6),
    String(result.violations).padStart(5),
    hasPassed(one, result) ? 'ok' : 'FAIL',
  ].join('  ');
}
