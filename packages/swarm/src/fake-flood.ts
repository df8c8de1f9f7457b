import { setTimeout } from 'node:timers/promises';
import { sha256 } from '@drayage/core';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { encodeMessage, readMessages } from './messages.ts';
import { multiaddrOf, type SwarmNode } from './node.ts';
import { toDuplex } from './stream.ts';

const PROTOCOL = '/drayage/control/1.0.0';
const BATCH = 1000;
/** As many as one member may have open. */
const STREAMS = 4;
/** Batches written into a stream before any is answered. */
const BATCHES_AT_ONCE = 8;
const RETRY_MS = 20;

export interface FloodParts {
  readonly node: SwarmNode;
  /** Where it listens, as `HOST:PORT`. */
  readonly victim: string;
  readonly records: number;
  readonly until: number;
}

export interface Flooded {
  readonly offered: number;
  readonly taken: number;
  readonly refused: number;
  /** Written into streams that the victim ended. */
  readonly cutOff: number;
}

/** Pours invented records into a member over as many streams as it lets open, waiting neither for room nor for answers. */
export async function flood({ node, victim, records, until }: FloodParts): Promise<Flooded> {
  const outcome = { offered: 0, taken: 0, refused: 0, cutOff: 0 };
  const contact = { member: node.peerId.toString(), links: [], zone: undefined };

  async function pour(connection: Connection): Promise<void> {
    const signal = AbortSignal.timeout(Math.ceil(Math.max(until - performance.now(), 1)));
    const duplex = toDuplex(await connection.newStream(PROTOCOL, { signal })).on('error', () => {});
    signal.addEventListener('abort', () => duplex.destroy(new Error('the time is up')));
    let open = 0;
    const batches = () => {
      for (; open < BATCHES_AT_ONCE && outcome.offered < records; open++) {
        const digests = Array.from({ length: BATCH }, (_, at) => sha256(Buffer.from(`flood ${outcome.offered + at}`)));
        duplex.write(encodeMessage({ id: outcome.offered, kind: 'announce', body: { contact, digests } }));
        outcome.offered += BATCH;
      }
      if (open === 0) duplex.end();
    };
    batches();
    try {
      for await (const { message } of readMessages(duplex)) {
        open--;
        if ((message as { readonly problem?: string }).problem === undefined) outcome.taken += BATCH;
        else outcome.refused += BATCH;
        batches();
      }
    } finally {
      outcome.cutOff += open * BATCH;
      duplex.destroy();
    }
  }

  async function pourOn(connection: Connection): Promise<void> {
    while (performance.now() < until && outcome.offered < records && connection.status === 'open')
      // The victim may end a stream at any time: the next one goes on.
      await pour(connection).catch(() => setTimeout(RETRY_MS));
  }
  const connection = await node.dial(addressOf(victim), { force: true });
  await Promise.all(Array.from({ length: STREAMS }, () => pourOn(connection)));
  return outcome;
}

export interface CrowdParts {
  readonly victim: string;
  readonly tries: number;
  readonly atOnce: number;
  readonly until: number;
}

/** Has so many handshakes with a member as fast as it lets us, some at once. */
export async function crowd(
  node: SwarmNode,
  { victim, tries, atOnce, until }: CrowdParts,
): Promise<{ readonly letIn: number; readonly refused: number }> {
  const outcome = { letIn: 0, refused: 0 };
  let left = tries;
  const come = async () => {
    while (left-- > 0 && performance.now() < until) {
      const isIn = await node.dial(addressOf(victim), { force: true }).then(
        (connection) => {
          connection.abort(new Error('enough'));
          return true;
        },
        () => false,
      );
      outcome[isIn ? 'letIn' : 'refused']++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, come));
  return outcome;
}

function addressOf(hostPort: string) {
  const [host = '', port] = hostPort.split(':');
  return multiaddr(multiaddrOf(host, Number(port)));
}
