import { PLAIN, type Scenario } from './scenario.ts';

/** What to run, and how to tell of it. */
export interface SimOptions {
  readonly scenario: Scenario;
  readonly isJson: boolean;
  readonly isTable: boolean;
  /** How many random scenarios to run in place of the one. */
  readonly seeds: number | undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  Kbit: 1e3 / 8,
  Mbit: 1e6 / 8,
  Gbit: 1e9 / 8,
  ms: 0.001,
  s: 1,
  m: 60,
  '%': 0.01,
};

/** What each number of a scenario is called on the command line, and what may follow it. */
const OPTIONS: Readonly<Record<string, readonly [keyof Scenario, RegExp]>> = {
  '--hosts': ['hosts', /^$/],
  '--size': ['size', /^([KMG]i?B|B)$/],
  '--host-rate': ['hostRate', /^([KMG]i?B|[KMG]bit)$/],
  '--origin-rate': ['originRate', /^([KMG]i?B|[KMG]bit)$/],
  '--connection-rate': ['connectionRate', /^([KMG]i?B|[KMG]bit|)$/],
  '--rtt': ['rtt', /^(ms|s)$/],
  '--have-delay': ['haveDelay', /^(ms|s)$/],
  '--jitter': ['jitter', /^(ms|s|m)$/],
  '--slow': ['slow', /^%?$/],
  '--dying': ['dying', /^%?$/],
  '--liars': ['liars', /^$/],
  '--forgers': ['forgers', /^$/],
  '--mute': ['mute', /^$/],
  '--home-deaths': ['homeDeaths', /^$/],
  '--home-death-at': ['homeDeathAt', /^(ms|s)$/],
  '--holder-death-at': ['holderDeathAt', /^(ms|s)$/],
  '--refused': ['refused', /^$/],
  '--zones': ['zones', /^$/],
  '--seed': ['seed', /^$/],
};

/** Reads the command line. Says what is wrong with it instead, when something is. */
export function readOptions(args: readonly string[]): SimOptions | string {
  const changes: { -readonly [K in keyof Scenario]?: number } = {};
  let isJson = false;
  let isTable = false;
  let seeds: number | undefined;
  for (let index = 0; index < args.length; index++) {
    const name = args[index] ?? '';
    if (name === '--json') isJson = true;
    else if (name === '--table') isTable = true;
    else {
      const value = args[++index];
      if (value === undefined) return `${name} needs a value`;
      if (name === '--seeds') seeds = amountOf(value, /^$/);
      else if (name === '--outage') {
        const [from, to] = value.split(',').map((part) => amountOf(part, /^(ms|s|)$/));
        if (from === undefined || to === undefined) return `--outage wants FROM,TO in seconds, not ${value}`;
        changes.outageFrom = from;
        changes.outageTo = to;
      } else {
        const [key, units] = OPTIONS[name] ?? [];
        if (!key || !units) {
          return `no option ${name}; there are ${Object.keys(OPTIONS).join(' ')} --outage --seeds --table --json`;
        }
        const amount = amountOf(value, units);
        if (amount === undefined) return `${name} does not take ${value}`;
        changes[key] = amount;
      }
    }
  }
  const scenario: Scenario = { ...PLAIN, ...changes };
  if (!Number.isInteger(scenario.hosts) || scenario.hosts < 1) return 'there must be a host';
  if (!(scenario.size >= 1 && scenario.hostRate > 0 && scenario.originRate > 0)) {
    return 'sizes and rates must be more than 0';
  }
  if (scenario.liars + scenario.forgers + scenario.mute >= scenario.hosts) return 'there must be an honest host';
  return { scenario, isJson, isTable, seeds };
}

function amountOf(text: string, units: RegExp): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([A-Za-z%]*)$/.exec(text) ?? [];
  const factor = UNITS[unit ?? 'none'];
  return digits !== undefined && unit !== undefined && factor !== undefined && units.test(unit)
    ? Number(digits) * factor
    : undefined;
}
