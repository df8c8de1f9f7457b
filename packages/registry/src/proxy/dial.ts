import { isIP, type LookupFunction, type Socket, connect as tcpConnect } from 'node:net';
import { Failure, orAbort } from '@drayage/core';
import { type Resolved, reachOf, resolve } from '../origin/address.ts';
import { formatTarget, type Target } from './target.ts';

/** Connects to a place that a client named. Throws `denied` when that is none for it to go to. */
export type Dial = (target: Target, signal: AbortSignal) => Promise<Socket>;

export interface DialParts {
  readonly lookup: LookupFunction;
  /** Whether this agent itself listens there. */
  readonly isOwn: (address: string, port: number) => boolean;
}

const CONNECT_WAIT_MS = 10_000;

/** Looks a name up once, judges every address it has, and connects to none but these: a later answer changes nothing. */
export function dialer({ lookup, isOwn }: DialParts): Dial {
  const permits = (address: string, port: number) => {
    const reach = reachOf(address);
    return (reach === 'public' || reach === 'private') && !isOwn(address, port);
  };
  return async (target, signal) => {
    const { host, port } = target;
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_WAIT_MS)]);
    const family = isIP(host);
    const addresses = family === 0 ? await orAbort(resolve(lookup, host), bounded) : [{ address: host, family }];
    if (addresses.length === 0 || !addresses.every(({ address }) => permits(address, port))) {
      throw new Failure(
        'denied',
        `${formatTarget(target)} is on this very host or of its link, where no client is led`,
      );
    }
    bounded.throwIfAborted();
    return await connected({ host, port, addresses }, bounded);
  };
}

interface Dialled extends Target {
  readonly addresses: readonly Resolved[];
}

function connected({ host, port, addresses }: Dialled, signal: AbortSignal): Promise<Socket> {
  const known: LookupFunction = (_host, options, callback) => {
    if (options.all) callback(null, [...addresses]);
    else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
  };
  return new Promise((done, fail) => {
    const socket = tcpConnect({ host, port, lookup: known, allowHalfOpen: true, noDelay: true });
    const give = (error: unknown) => {
      socket.destroy();
      fail(error);
    };
    const stop = () => give(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    socket.once('error', give);
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop);
      socket.off('error', give);
      if (signal.aborted) stop();
      else done(socket);
    });
  });
}
