import { seededChance } from './chance.ts';
import { PLAIN, type Scenario } from './scenario.ts';

const KIB = 1024;

/** A small scenario in which anything may go wrong. The same for the same seed. */
export function randomScenario(seed: number): Scenario {
  const chance = seededChance(seed * 7919 + 13);
  const below = (count: number) => Math.floor(chance() * count);
  const often = (part: number) => chance() < part;
  const hosts = 2 + below(23);
  const size = 1 + below((1 + below(48)) * 256 * KIB);
  const hostRate = 12.5e6;
  const originRate = hostRate * (0.2 + 10 * chance() ** 2);
  const limit = Math.max(size / originRate, size / hostRate);
  const vicious = often(0.4) ? below(1 + (hosts >> 1)) : 0;
  const liars = below(vicious + 1);
  const mute = below(vicious - liars + 1);
  const outageFrom = chance() * limit;
  const isOut = often(0.2);
  return {
    ...PLAIN,
    seed,
    hosts,
    size,
    hostRate,
    originRate,
    connectionRate: often(0.2) ? originRate / (1 + below(8)) : 0,
    rtt: 0.0005 + 0.01 * chance() ** 3,
    haveDelay: 0.05 * chance() ** 2,
    jitter: often(0.5) ? chance() * 4 * limit : 0,
    slow: often(0.3) ? 0.4 * chance() : 0,
    dying: often(0.3) ? 0.5 * chance() : 0,
    liars,
    mute,
    forgers: vicious - liars - mute,
    homeDeaths: often(0.25) ? 1 + below(3) : 0,
    homeDeathAt: chance() * limit,
    holderDeathAt: often(0.2) ? chance() * limit : 0,
    outageFrom: isOut ? outageFrom : 0,
    outageTo: isOut ? outageFrom + 4 * limit * chance() + 0.1 : 0,
    refused: often(0.15) ? below(1 + (hosts >> 1)) : 0,
    zones: often(0.3) ? 2 + below(3) : 0,
  };
}
