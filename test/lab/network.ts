import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { must } from './process.ts';

/** Several hosts on one wire: each a network namespace on a bridge, with links as slow as they are told to be. */
export interface Network extends AsyncDisposable {
  /** Puts a new host on the wire. */
  attach(name: string, address: string, rates: Rates): Promise<Port>;
  /** Cuts these hosts off from all others. */
  split(ports: readonly Port[]): Promise<void>;
  /** Puts every host back on one wire. */
  heal(): Promise<void>;
}

/** How fast a host's link is, in Mbit/s; undefined is as fast as the machine. */
export interface Rates {
  readonly upMbit?: number | undefined;
  readonly downMbit?: number | undefined;
}

/** One host's place on the wire. */
export interface Port {
  readonly name: string;
  readonly address: string;
  /** What stands before a command to run it on this host. */
  readonly inside: readonly string[];
  /** What the host has put on the wire. */
  sent(): Promise<Traffic>;
  /** Makes what the host sends as slow as that from now on; as fast as the machine when nothing is said. */
  limit(upMbit?: number): Promise<void>;
}

/** What went over a link in one direction. */
export interface Traffic {
  readonly bytes: number;
  /** Without the headers of Ethernet, IP and TCP. */
  readonly payloadBytes: number;
}

/** Where the tests themselves sit. */
export const TEST_ADDRESS = '10.98.0.1';
const SUBNET = '10.98.0.0/24';

const BRIDGE = 'lab0';
/** Where cut-off hosts go. */
const OTHER_BRIDGE = 'lab1';
/**
 * A frame's headers: Ethernet 14, IPv4 20, TCP 32 with time stamps. The kernel carries up to 64 KiB as one frame, so the
 * share of the headers depends on the load, and only bytes without them can be held against the size of a blob.
 */
const HEADER_BYTES = 66;
/** The bucket holds ten milliseconds of the rate, and always one of the kernel's largest frames. */
const BURST_MS = 10;
const BURST_BYTES_MIN = 80 * 1024;
const QUEUE_MS = 100;
const FOLDER = '/run/netns';
/**
 * What Linux does unless told otherwise, whatever this machine was told: another takes a twentieth more of the processor.
 * Said of the route, since a kernel built with another lets a namespace choose it in no other way.
 */
const CONGESTION_CONTROL = 'cubic';
/**
 * Who has which address, known beforehand: all hosts of the machine share one table of neighbours that were asked for, and
 * from thirty-two hosts on some would not find the origin.
 */
const NEIGHBOURS = '/run/lab-neighbours';
const ADDRESSES_MAX = 99;

/** Makes the wire. Only ever inside the lab's namespace. */
export async function startNetwork(): Promise<Network> {
  // Made by the first `ip netns add`, and shared with nobody: /run is the lab's own.
  mkdirSync(FOLDER, { recursive: true });
  const addresses = Array.from({ length: ADDRESSES_MAX }, (_, at) => `10.98.0.${at + 1}`);
  const known = addresses.map(
    (address) => `neigh replace ${address} lladdr ${hardwareOf(address)} dev e0 nud permanent`,
  );
  writeFileSync(NEIGHBOURS, known.join('\n'));
  for (const bridge of [BRIDGE, OTHER_BRIDGE]) await ip('link', 'add', bridge, 'type', 'bridge');
  await ip('link', 'set', BRIDGE, 'address', hardwareOf(TEST_ADDRESS));
  await ip('address', 'add', `${TEST_ADDRESS}/24`, 'dev', BRIDGE);
  for (const bridge of [BRIDGE, OTHER_BRIDGE]) await ip('link', 'set', bridge, 'up');
  // A dockerd that ran here before lets nothing pass between hosts, nor over a bridge.
  await must('iptables', ['-P', 'FORWARD', 'ACCEPT']);
  const ports: Port[] = [];
  return {
    attach: async (name, address, rates) => {
      const port = await attach(name, address, rates);
      ports.push(port);
      return port;
    },
    split: async (apart) => {
      for (const { name } of apart) await ip('link', 'set', wireEnd(name), 'master', OTHER_BRIDGE);
    },
    heal: async () => {
      for (const { name } of ports) await ip('link', 'set', wireEnd(name), 'master', BRIDGE);
    },
    [Symbol.asyncDispose]: async () => {
      for (const { name } of ports) {
        await ip('link', 'delete', wireEnd(name));
        if (existsSync(`${FOLDER}/${name}`)) await ip('netns', 'delete', name);
      }
      for (const bridge of [BRIDGE, OTHER_BRIDGE]) await ip('link', 'delete', bridge);
    },
  };
}

async function attach(name: string, address: string, { upMbit, downMbit }: Rates): Promise<Port> {
  const wire = wireEnd(name);
  await ip('netns', 'add', name);
  await ip('link', 'add', wire, 'type', 'veth', 'peer', 'name', 'e0', 'netns', name);
  await ip('link', 'set', wire, 'master', BRIDGE, 'up');
  await ip('-n', name, 'link', 'set', 'lo', 'up');
  await ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'e0');
  await ip('-n', name, 'link', 'set', 'e0', 'address', hardwareOf(address), 'up');
  const route = [SUBNET, 'dev', 'e0', 'proto', 'kernel', 'scope', 'link', 'src', address];
  await ip('-n', name, 'route', 'replace', ...route, 'congctl', CONGESTION_CONTROL);
  await ip('-n', name, '-batch', NEIGHBOURS);
  const into = [`--net=${FOLDER}/${name}`, '--'];
  if (upMbit !== undefined) await must('tc', ['-n', name, ...shapeOf('e0', upMbit)]);
  if (downMbit !== undefined) await must('tc', shapeOf(wire, downMbit));
  return {
    name,
    address,
    inside: ['nsenter', ...into],
    sent: async () => {
      const [link] = JSON.parse(await ip('-json', '-stats', 'link', 'show', 'dev', wire));
      const { bytes, packets } = link.stats64.rx;
      return { bytes, payloadBytes: bytes - packets * HEADER_BYTES };
    },
    limit: async (mbit) => {
      const shape = mbit === undefined ? ['qdisc', 'replace', 'dev', 'e0', 'root', 'pfifo'] : shapeOf('e0', mbit);
      await must('tc', ['-n', name, ...shape]);
    },
  };
}

function hardwareOf(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `02:00:${bytes.join(':')}`;
}

/** The end of a host's link that is plugged into the bridge. */
function wireEnd(name: string): string {
  return `w-${name}`;
}

function shapeOf(device: string, mbit: number): string[] {
  const burst = Math.max(BURST_BYTES_MIN, (mbit * 1e6 * BURST_MS) / 8000);
  const bucket = ['tbf', 'rate', `${mbit}mbit`, 'burst', `${Math.round(burst)}`, 'latency', `${QUEUE_MS}ms`];
  return ['qdisc', 'replace', 'dev', device, 'root', ...bucket];
}

function ip(...args: string[]): Promise<string> {
  return must('ip', args);
}
