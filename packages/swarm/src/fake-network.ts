import { connect, createServer, type Server, type Socket } from 'node:net';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { SwarmKey } from './key.ts';
import { type SwarmNode, startNode } from './node.ts';

/** The loopback addresses before and behind the network: what is dialled, and where the members really listen. */
const OUTSIDE = '127.0.0.2';
const INSIDE = '127.0.0.1';

/** A network that can be cut in two: members are dialled through it, and what is cut falls silent without a word. */
export interface FakeNetwork extends AsyncDisposable {
  /** A port that leads from outside to the same port inside. */
  open(): Promise<number>;
  /** From now on these connections, named by the port that the inner end sees, carry nothing, and new ones lead nowhere. */
  cut(isBetweenSides: (port: number) => boolean): void;
  heal(): void;
}

interface Pair {
  readonly outer: Socket;
  /** Undefined for a connection that was made while the network was cut. */
  readonly inner: Socket | undefined;
  isSilent: boolean;
}

export function startFakeNetwork(): FakeNetwork {
  const servers: Server[] = [];
  const pairs = new Set<Pair>();
  let isCut = false;

  function join(outer: Socket, port: number): void {
    const inner = isCut ? undefined : connect(port, INSIDE);
    const pair: Pair = { outer, inner, isSilent: isCut };
    pairs.add(pair);
    const end = () => {
      if (!pair.isSilent) drop(pair);
    };
    outer.on('data', (chunk) => inner?.write(chunk)).on('error', () => {});
    inner?.on('data', (chunk) => outer.write(chunk)).on('error', () => {});
    for (const socket of [outer, inner]) socket?.on('close', end);
    if (isCut) outer.pause();
  }

  function drop(pair: Pair): void {
    pairs.delete(pair);
    pair.outer.destroy();
    pair.inner?.destroy();
  }

  return {
    async open() {
      const server = createServer((outer) => join(outer, port));
      servers.push(server);
      await new Promise<void>((done) => server.listen(0, OUTSIDE, done));
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      return port;
    },
    cut(isBetweenSides) {
      isCut = true;
      for (const pair of pairs) {
        if (!isBetweenSides(pair.inner?.localPort ?? 0)) continue;
        pair.isSilent = true;
        pair.outer.pause();
        pair.inner?.pause();
      }
    },
    heal() {
      isCut = false;
      for (const pair of pairs) {
        if (!pair.isSilent) continue;
        pair.isSilent = false;
        if (pair.inner === undefined || pair.outer.destroyed || pair.inner.destroyed) drop(pair);
        else for (const socket of [pair.outer, pair.inner]) socket.resume();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) drop(pair);
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    },
  };
}

/** A node that others reach only through this network. */
export async function startNodeBehind(network: FakeNetwork, key: SwarmKey): Promise<SwarmNode> {
  const listen = [{ host: INSIDE, port: await network.open() }];
  return startNode({ identity: await generateKeyPair('Ed25519'), keys: [key], listen, advertise: OUTSIDE });
}
