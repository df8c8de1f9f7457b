import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Refusal } from './errors.ts';

/** Whether a host, with or without a port, is this agent as seen through this connection. */
export type IsOwn = (host: string, socket: Socket) => boolean;

/** Knows the agent's own names: loopback, the address the connection came to, and the configured names. */
export function ownNames(hosts: readonly string[]): IsOwn {
  const configured = new Set(hosts.map((host) => host.toLowerCase()));
  return (text, socket) => {
    const host = text.toLowerCase();
    if (configured.has(host)) return true;
    const port = `:${socket.localPort}`;
    const name = host.endsWith(port) ? host.slice(0, -port.length) : socket.localPort === 80 ? host : undefined;
    if (name === undefined) return false;
    return configured.has(name) || LOOPBACK.includes(name) || name === localAddress(socket);
  };
}

const LOOPBACK: readonly string[] = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * Refuses what no container runtime sends and a web page could make a browser send: a foreign Host (DNS rebinding), a
 * cross-site request, a target in absolute form.
 */
export function refusalByHost(incoming: IncomingMessage, target: string, isOwn: IsOwn): Refusal | undefined {
  const { headers, headersDistinct, socket } = incoming;
  const host = headers.host;
  if (host === undefined || headersDistinct['host']?.length !== 1) {
    return { status: 400, code: 'UNSUPPORTED', message: 'the request needs exactly one Host header' };
  }
  if (!target.startsWith('/')) {
    return { status: 400, code: 'UNSUPPORTED', message: 'the request target must be a path' };
  }
  if (!isOwn(host, socket)) {
    return { status: 421, code: 'DENIED', message: 'the Host header does not name this agent' };
  }
  const site = headers['sec-fetch-site'];
  if (headers.origin !== undefined || site === 'cross-site' || site === 'same-site') {
    return { status: 403, code: 'DENIED', message: 'requests from web pages are refused' };
  }
  return undefined;
}

function localAddress({ localAddress: address = '' }: Socket): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  return plain.includes(':') ? `[${plain}]` : plain;
}
