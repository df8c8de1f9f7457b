import type { Run } from '@drayage/exchange';
import { claimLanded } from './act-home.ts';
import type { Host, OriginConnection } from './host.ts';
import { capOf } from './uploads.ts';
import { falseHash, later, pieceBytes, trueHash, type World } from './world.ts';

/** Fetches a run over one connection, piece after piece. */
export function openOrigin(world: World, host: Host, run: Run): void {
  if (host.vice === 'mute') return;
  if (host.vice === 'claims') {
    claimLanded(world, host, run);
    return;
  }
  world.tally.originRequests++;
  const connection: OriginConnection = { next: run.start, end: run.end, flow: undefined, isClosed: false };
  host.origin = connection;
  later(world, 2 * world.halfRtt, () => {
    if (connection.isClosed || !host.isAlive) return;
    if (host.isRefused || world.isOut) {
      host.origin = undefined;
      world.step(host, { kind: host.isRefused ? 'origin refused' : 'origin failed' });
    } else fetchPiece(world, host, connection);
  });
}

function fetchPiece(world: World, host: Host, connection: OriginConnection): void {
  const piece = connection.next;
  const bytes = pieceBytes(world, piece);
  const { connectionRate } = world.scenario;
  const cap = Math.min(capOf(host), connectionRate > 0 ? connectionRate / 1000 : Number.POSITIVE_INFINITY);

  function done(): void {
    world.tally.originBytes += bytes;
    connection.flow = undefined;
    connection.next++;
    if (connection.next >= connection.end) host.origin = undefined;
    else fetchPiece(world, host, connection);
    const hash = host.vice === 'forges' ? falseHash(piece, 'forged', host.id) : trueHash(piece);
    world.step(host, { kind: 'origin arrived', piece, hash });
  }

  connection.flow = world.network.start({ from: world.origin, to: host.id, bytes, cap, done }, world.now);
}

/** Closes the connection; what came of the piece under way is lost. */
export function stopOrigin(world: World, host: Host): void {
  const connection = host.origin;
  if (!connection) return;
  connection.isClosed = true;
  host.origin = undefined;
  if (!connection.flow) return;
  const moved = world.network.stop(connection.flow, world.now);
  world.tally.originBytes += moved;
  world.tally.wastedBytes += moved;
}
