import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Failure, type Happening } from '@drayage/core';
import { buildConnector } from 'undici';
import { type FakeServer, type Handler, startFakeServer } from '../origin/fake-server.ts';
import { startForwarder } from '../origin/forward.ts';
import { tempFile } from '../origin/temp-file.ts';
import { type Lab as EndpointLab, startLab as startEndpointLab } from '../server/fake-parts.ts';
import type { OriginRules } from '../server/policy.ts';
import type { Dial } from './dial.ts';
import { openIssuer } from './issuer.ts';
import { type ForwardProxy, type ProxyParts, startProxy } from './proxy.ts';
import { routesTo } from './routes.ts';

export const ORIGIN = 'registry.example.com';

/** A proxy before a made-up endpoint, and a real server to which it sends what that does not answer. */
export interface ProxyLab extends AsyncDisposable {
  readonly proxy: ForwardProxy;
  readonly port: number;
  readonly certificate: string;
  /** Behind the endpoint. */
  readonly other: EndpointLab['other'];
  /** Where requests go on to. */
  readonly server: FakeServer;
  readonly happenings: readonly Happening[];
  /** The outcomes that were reported, each once it is. */
  outcomes(): readonly string[];
  /** Lets the proxy lead a connection there; gives what it answered. */
  connectTo(authority: string): Promise<Led>;
  /** A TLS connection inside one that leads to an origin. */
  secure(authority?: string, servername?: string): Promise<TLSSocket>;
}

interface Led {
  readonly status: number;
  readonly text: string;
  readonly socket: Socket;
}

interface Choices {
  readonly handle?: Handler;
  readonly rules?: Readonly<Record<string, OriginRules>>;
  readonly dial?: Dial;
  /** Of another server than the lab's own. */
  readonly url?: string;
  readonly others?: 'tunnel' | 'refuse';
  readonly parts?: Partial<ProxyParts>;
}

export async function startProxyLab(choices: Choices = {}): Promise<ProxyLab> {
  const { handle = (_, response) => response.end('from the origin'), rules = {}, others = 'tunnel' } = choices;
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startFakeServer(handle));
  const { url = server.url } = choices;
  const endpoint = opened.use(await startEndpointLab(rules));
  const forwarder = opened.use(startForwarder(new URL(url), buildConnector({})));
  const origins = [{ name: ORIGIN, url, realms: ['auth.example.com'], isProxied: undefined }];
  const routes = routesTo(origins, others);
  const { folder } = opened.use(await tempFile(''));
  const issuer = await openIssuer({ folder, hosts: routes.hosts, now: Date.now });
  const happenings: Happening[] = [];
  const proxy = opened.use(
    await startProxy({
      listen: { host: '127.0.0.1', port: 0 },
      endpoint: endpoint.endpoint,
      origins: { forwarder: () => forwarder },
      routes,
      issuer,
      dial: choices.dial ?? (async ({ host }) => Promise.reject(new Failure('denied', `${host} is out of reach`))),
      report: (happening) => void happenings.push(happening),
      now: Date.now,
      ...choices.parts,
    }),
  );
  const { port } = proxy.address;
  const all = opened.move();
  const connectTo = (authority: string) => led(port, authority);
  return {
    proxy,
    port,
    certificate: issuer.certificate,
    other: endpoint.other,
    server,
    happenings,
    outcomes: () => happenings.flatMap((one) => (one.kind === 'proxied' ? [one.outcome] : [])),
    connectTo,
    secure: async (authority = `${ORIGIN}:443`, servername = ORIGIN) => {
      const { socket } = await connectTo(authority);
      const secure = connectTls({ socket, ca: issuer.certificate, servername, host: servername });
      await once(secure, 'secureConnect');
      return secure;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function led(port: number, authority: string): Promise<Led> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  let text = '';
  while (!text.includes('\r\n\r\n')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
  }
  socket.pause();
  return { status: Number(text.split(' ')[1]), text, socket };
}

/** Asks on a connection, and reads until it ends. */
export async function askOn(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return Buffer.concat(await Array.fromAsync(socket)).toString('latin1');
}

/** Polls until it holds, or a test's own bound ends it. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}
