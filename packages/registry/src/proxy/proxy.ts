import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, isFailure, type Report } from '@drayage/core';
import type { Forwarders } from '../origin/types.ts';
import type { Endpoint } from '../server/endpoint.ts';
import { type Address, type Listener, openListener } from '../server/listener.ts';
import type { Dial } from './dial.ts';
import { type Forwarding, forward } from './forwarding.ts';
import { Distrusted, endTls } from './intercept.ts';
import type { Issuer } from './issuer.ts';
import { refuse, refuseBytes } from './refusals.ts';
import type { Routes } from './routes.ts';
import { strangerForwarder } from './stranger.ts';
import { formatTarget, HTTP_PORT, HTTPS_PORT, parseAbsolute, parseAuthority, type Target } from './target.ts';
import { TUNNEL_LIMITS, type TunnelLimits, tunnel } from './tunnel.ts';

/** What runtimes that know no mirrors are told to use as their proxy. */
export interface ForwardProxy extends AsyncDisposable {
  readonly address: Address;
  /** Takes no further connections, lets answers and tunnels end, and cuts off what is left when the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
}

export interface ProxyParts {
  readonly listen: Address;
  readonly endpoint: Pick<Endpoint, 'answerFor'>;
  readonly origins: Forwarders;
  readonly routes: Routes;
  readonly issuer: Issuer;
  /** The way to whoever is no origin. */
  readonly dial: Dial;
  readonly report: Report;
  readonly now: () => number;
  readonly limits?: Partial<ProxyLimits>;
}

interface ProxyLimits extends TunnelLimits {
  /** Connections that are led elsewhere, to origins or away, at the same time. */
  readonly connectionsMax: number;
}

const LIMITS: ProxyLimits = { ...TUNNEL_LIMITS, connectionsMax: 512 };
/** A host whose certificate a client did not trust is not intercepted for this long, so that pulls go on. */
const DISTRUST_MS = 5 * 60_000;
const TELL_OTHERS = 'allow it with --proxy-others tunnel, or list the host under realms of its origin';

/** What a connection that was taken over leads to. */
interface Inside {
  readonly target: Target;
  readonly origin: string;
}

export async function startProxy(parts: ProxyParts): Promise<ForwardProxy> {
  const { report } = parts;
  const { connectionsMax } = { ...LIMITS, ...parts.limits };
  const inside = new WeakMap<object, Inside>();
  const connections = new Set<Socket>();
  const led = new Set<Promise<void>>();
  const requests = requestHandler(parts, inside);
  const lead = leader(parts, (connection, what) => {
    inside.set(connection, what);
    listener.adopt(connection);
  });
  const listener: Listener = await openListener(parts.listen, requests, (incoming, connection, head) => {
    connection.on('error', () => connection.destroy());
    const target = parseAuthority(incoming.url ?? '', undefined);
    const no = (status: number, problem: string) => {
      report({ kind: 'proxied', outcome: 'refused', target: target ? formatTarget(target) : '', bytes: 0, problem });
      refuseBytes(connection, status, problem);
    };
    if (!target) return no(400, 'CONNECT needs HOST:PORT');
    if (inside.has(connection)) return no(400, 'a tunnel within a tunnel is refused');
    if (connections.size >= connectionsMax) return no(503, `more than ${connectionsMax} connections`);
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
    if (head.length > 0) connection.unshift(head);
    const leading = lead(target, connection).finally(() => led.delete(leading));
    led.add(leading);
  });

  const drain = async (signal: AbortSignal) => {
    const closing = listener.close();
    const cut = () => {
      listener.closeAll();
      for (const connection of connections) connection.destroy();
    };
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    await Promise.all([closing, ...led]);
    signal.removeEventListener('abort', cut);
  };
  return { address: listener.address, drain, [Symbol.asyncDispose]: () => drain(AbortSignal.abort()) };
}

/** Answers requests: those inside a connection to an origin, and those that name their host themselves. */
function requestHandler(parts: ProxyParts, inside: WeakMap<object, Inside>) {
  const { endpoint, origins, routes, dial, report } = parts;

  async function forOrigin(
    { incoming, response }: Exchange,
    { target, origin, path, calledAs }: Inside & Pick<Forwarding, 'path' | 'calledAs'>,
  ): Promise<void> {
    const how = { forwarder: origins.forwarder(origin), path, calledAs };
    const meant = { origin, forward: told(report, target, how) };
    await endpoint.answerFor({ incoming, response, path, meant });
  }

  async function forStranger({ incoming, response }: Exchange, target: Target, path: string): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    await using forwarder = strangerForwarder(target, dial, gone.signal);
    const calledAs = forwarder.url.origin;
    const progress = { started: () => {}, sent: () => {}, signal: gone.signal };
    try {
      await told(report, target, { forwarder, path, calledAs })(incoming, response, progress);
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy();
      else refuse(incoming, response, isFailure(error, 'denied') ? 403 : 502, describe(error));
    }
  }

  return async (incoming: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    response.on('error', () => response.destroy());
    const within = inside.get(incoming.socket);
    const no = (status: number, problem: string, target?: Target) => {
      report({ kind: 'proxied', outcome: 'refused', target: target ? formatTarget(target) : '', bytes: 0, problem });
      refuse(incoming, response, status, problem);
    };
    const hosts = incoming.headersDistinct['host'] ?? [];
    const names = (target: Target, defaultPort: number) => {
      const named = hosts.length === 1 ? parseAuthority(hosts[0] ?? '', defaultPort) : undefined;
      return named !== undefined && formatTarget(named) === formatTarget(target);
    };
    if (within) {
      const { target } = within;
      if (!path.startsWith('/')) return no(400, 'the request target must be a path', target);
      if (!names(target, HTTPS_PORT)) return no(421, 'the Host header is for another host than CONNECT was', target);
      return await forOrigin({ incoming, response }, { ...within, path, calledAs: calledAs('https', target) });
    }
    const asked = parseAbsolute(path);
    if (!asked) return no(400, 'this is a proxy: ask it by CONNECT HOST:PORT, or for http://HOST/PATH');
    const { target } = asked;
    if (!names(target, HTTP_PORT)) return no(400, 'the Host header is for another host than the request', target);
    const origin = routes.plain(target);
    if (origin !== undefined) {
      const how = { target, origin, path: asked.path, calledAs: calledAs('http', target) };
      return await forOrigin({ incoming, response }, how);
    }
    if (!routes.isOpen(target.host))
      return no(403, `${target.host} is no origin of this agent: ${TELL_OTHERS}`, target);
    await forStranger({ incoming, response }, target, asked.path);
  };
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

/** Forwards, and reports how that went. */
function told(report: Report, target: Target, how: Pick<Forwarding, 'forwarder' | 'path' | 'calledAs'>) {
  return async (incoming: IncomingMessage, response: ServerResponse, progress: Omit<Forwarding, keyof typeof how>) => {
    let bytes = 0;
    const sent = (count: number) => {
      bytes += count;
      progress.sent(count);
    };
    const tell = (outcome: 'forwarded' | 'failed', problem?: string) =>
      report({ kind: 'proxied', outcome, target: formatTarget(target), bytes, problem });
    try {
      await forward(incoming, response, { ...how, ...progress, sent });
      tell('forwarded');
    } catch (error) {
      // A client that has had enough is nobody's failure.
      const isGone = progress.signal.aborted || incoming.errored !== null;
      tell(isGone ? 'forwarded' : 'failed', describe(error));
      throw error;
    }
  };
}

/** `https://host`, or with a port where that is not the usual one. */
function calledAs(scheme: 'http' | 'https', target: Target): string {
  return new URL(`${scheme}://${formatTarget(target)}`).origin;
}

type Adopt = (connection: Socket, what: Inside) => void;

/** Leads a connection where its client wants to go: to an origin's stand-in, or away. Never rejects. */
function leader(parts: ProxyParts, adopt: Adopt) {
  const { routes, issuer, dial, report, now, limits } = parts;
  const distrustedAt = new Map<string, number>();

  async function intercept(what: Inside, connection: Socket): Promise<void> {
    const { host } = what.target;
    connection.write(ESTABLISHED);
    try {
      adopt(await endTls(connection, host, issuer), what);
      tell('intercepted', what.target, 0);
    } catch (error) {
      connection.destroy();
      const isDistrusted = error instanceof Distrusted;
      if (isDistrusted) distrustedAt.set(host, now());
      const advice = `a client does not trust the proxy's certificate for ${host}, so it is tunnelled for a while: run drayage setup docker --proxy, or set proxy: false for this origin`;
      tell('failed', what.target, 0, isDistrusted ? advice : describe(error));
    }
  }

  async function leadAway(target: Target, connection: Socket): Promise<void> {
    const gone = new AbortController();
    const stop = () => gone.abort();
    connection.once('close', stop);
    try {
      const remote = await dial(target, gone.signal);
      connection.off('close', stop);
      connection.write(ESTABLISHED);
      await tunnel(connection, remote, { ...LIMITS, ...limits });
      tell('tunnelled', target, remote.bytesRead + remote.bytesWritten);
    } catch (error) {
      const isRefused = isFailure(error, 'denied');
      tell(isRefused ? 'refused' : 'failed', target, 0, describe(error));
      refuseBytes(connection, isRefused ? 403 : 502, describe(error));
    }
  }

  function tell(outcome: 'intercepted' | 'tunnelled' | 'refused' | 'failed', to: Target, bytes: number, why?: string) {
    report({ kind: 'proxied', outcome, target: formatTarget(to), bytes, problem: why });
  }

  return async (target: Target, connection: Socket): Promise<void> => {
    const origin = routes.secure(target);
    const isTrusted = now() - (distrustedAt.get(target.host) ?? Number.NEGATIVE_INFINITY) > DISTRUST_MS;
    if (origin !== undefined && isTrusted) return await intercept({ target, origin }, connection);
    if (origin !== undefined || routes.isOpen(target.host)) return await leadAway(target, connection);
    const problem = `${target.host} is no origin of this agent: ${TELL_OTHERS}`;
    tell('refused', target, 0, problem);
    refuseBytes(connection, 403, problem);
  };
}

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';
