import { isDeepStrictEqual } from 'node:util';
import { isZone, type JoinTarget, parseJoinTarget } from '@drayage/swarm/settings';
import { type Address, parseAddress, parseHost } from './address.ts';
import { limit, many, type Option, one, path } from './option.ts';

/** What an operator says of the other hosts. */
export interface SwarmOptions {
  readonly swarmListen: readonly Address[];
  readonly linkListen: Address;
  /** Undefined: every address of this host. */
  readonly advertise: string | undefined;
  /** Undefined: this host is alone, and no port opens for others. */
  readonly swarmKeyFile: string | undefined;
  readonly join: readonly JoinTarget[];
  readonly zone: string | undefined;
  readonly uploadRate: number | undefined;
  readonly downloadRate: number | undefined;
}

type Rows = {
  readonly [K in keyof SwarmOptions]: Option<SwarmOptions[K]> & { readonly initial: () => SwarmOptions[K] };
};

const LISTEN_ADDRESSES_MAX = 16;
const TARGETS_MAX = 64;

export const SWARM_OPTIONS: Rows = {
  swarmListen: {
    flag: 'swarm-listen',
    env: 'DRAYAGE_SWARM_LISTEN',
    value: 'ADDR',
    fallback: '0.0.0.0:5052',
    help: 'where members meet (repeatable); opens only with a swarm key',
    initial: () => [{ host: '0.0.0.0', port: 5052 }],
    parse: many(parseAddress, LISTEN_ADDRESSES_MAX),
  },
  linkListen: {
    flag: 'link-listen',
    env: 'DRAYAGE_LINK_LISTEN',
    value: 'ADDR',
    fallback: '0.0.0.0:5053',
    help: 'where members link to exchange pieces; opens only with a swarm key',
    initial: () => ({ host: '0.0.0.0', port: 5053 }),
    parse: one(parseAddress),
  },
  advertise: {
    flag: 'advertise',
    env: 'DRAYAGE_ADVERTISE',
    value: 'HOST',
    fallback: 'every interface address',
    help: 'the host that other members dial',
    initial: () => undefined,
    parse: one(parseHost),
  },
  swarmKeyFile: {
    flag: 'swarm-key-file',
    env: 'DRAYAGE_SWARM_KEY_FILE',
    value: 'FILE',
    fallback: 'none',
    help: 'made by `drayage key new`; hosts with one key are members of one swarm. None: no peers, no peer ports',
    isPath: true,
    initial: () => undefined,
    parse: one(path),
  },
  join: {
    flag: 'join',
    env: 'DRAYAGE_JOIN',
    value: 'TARGET',
    fallback: 'none',
    help: 'members to meet first: `HOST[:PORT]`, `dns:NAME[:PORT]`, `https://…` or `mdns` (repeatable)',
    initial: () => [],
    parse: many(parseJoinTarget, TARGETS_MAX),
  },
  zone: {
    flag: 'zone',
    env: 'DRAYAGE_ZONE',
    value: 'NAME',
    fallback: 'none',
    help: 'where this host stands, such as a rack: members of the same zone come first',
    initial: () => undefined,
    parse: one(zone),
  },
  uploadRate: {
    flag: 'upload-rate',
    env: 'DRAYAGE_UPLOAD_RATE',
    value: 'SIZE/s',
    fallback: 'none',
    help: 'most bytes per second given to all members together',
    initial: () => undefined,
    parse: one(limit),
  },
  downloadRate: {
    flag: 'download-rate',
    env: 'DRAYAGE_DOWNLOAD_RATE',
    value: 'SIZE/s',
    fallback: 'none',
    help: 'most bytes per second taken from all members together',
    initial: () => undefined,
    parse: one(limit),
  },
};

/** The flags of what was said of other hosts in vain: without a key there are none. */
export function idleOptions(config: SwarmOptions): readonly string[] {
  if (config.swarmKeyFile !== undefined) return [];
  const names = Object.keys(SWARM_OPTIONS) as (keyof SwarmOptions)[];
  const given = names.filter((name) => !isDeepStrictEqual(config[name], SWARM_OPTIONS[name].initial()));
  return given.map((name) => `--${SWARM_OPTIONS[name].flag}`);
}

function zone(text: string): string {
  if (!isZone(text))
    throw new Error('not a zone such as rack-12: at most 64 letters, digits, dots, dashes, underscores');
  return text;
}
