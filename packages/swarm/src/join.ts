import { resolve4, resolve6, resolveSrv } from 'node:dns/promises';
import { Failure } from '@drayage/core';

/** Where members listen when nobody says otherwise. */
const SWARM_PORT = 5052;
const ANSWER_BYTES_MAX = 64 * 1024;
const ADDRESSES_MAX = 256;
const FETCH_WAIT_MS = 5000;
/** Some name servers pass questions for services on to where nobody answers, such as Docker's own without a network. */
const SERVICES_WAIT_MS = 1000;
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])$/i;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A way to find members, as the operator wrote it. */
export type JoinTarget =
  | { readonly kind: 'host'; readonly at: HostPort }
  | { readonly kind: 'dns'; readonly at: HostPort }
  | { readonly kind: 'url'; readonly url: URL }
  | { readonly kind: 'mdns' };

/** Reads `HOST[:PORT]`, `dns:NAME[:PORT]`, `https://…` or `mdns`. Throws an Error that says what is wrong. */
export function parseJoinTarget(text: string): JoinTarget {
  if (text === 'mdns') return { kind: 'mdns' };
  if (/^https?:\/\//.test(text)) {
    const url = URL.parse(text);
    if (!url || url.username || url.password) throw new Error('not a URL without a user name');
    return { kind: 'url', url };
  }
  const isDns = text.startsWith('dns:');
  const at = parseHostPort(isDns ? text.slice(4) : text);
  if (!at) throw new Error('not HOST[:PORT], dns:NAME[:PORT], a URL, or mdns');
  return { kind: isDns ? 'dns' : 'host', at };
}

function parseHostPort(text: string): HostPort | undefined {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?$/.exec(text.trim()) ?? [];
  if (host.length > 253 || !HOST.test(host) || Number(port ?? SWARM_PORT) > 65_535) return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? SWARM_PORT) };
}

/** What names mean; the system's resolver but for tests. */
export interface Resolver {
  addresses(name: string): Promise<readonly string[]>;
  services(name: string): Promise<readonly HostPort[]>;
}

export const systemResolver: Resolver = {
  async addresses(name) {
    const answers = await Promise.allSettled([resolve4(name), resolve6(name)]);
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  },
  services: async (name) => (await resolveSrv(name)).map((service) => ({ host: service.name, port: service.port })),
};

/**
 * Where members may be found now. Throws `member_unreachable` with the target's own words when it gives no answer: the
 * caller tries the others, and this one again later.
 */
export async function findMembers(
  target: JoinTarget,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<readonly HostPort[]> {
  switch (target.kind) {
    case 'host':
      return [target.at];
    case 'dns':
      return findByName(target.at, resolver);
    case 'url':
      return findByUrl(target.url, signal);
    case 'mdns':
      return [];
  }
}

/** A headless Service answers with an address per member; an SRV record may name ports as well. */
async function findByName({ host, port }: HostPort, resolver: Resolver): Promise<readonly HostPort[]> {
  const services = await servicesOf(host, resolver);
  if (services.length > 0) return services.slice(0, ADDRESSES_MAX);
  const addresses = await resolver.addresses(host);
  if (addresses.length === 0) throw new Failure('member_unreachable', `no member is found by the name ${host}`);
  return addresses.slice(0, ADDRESSES_MAX).map((address) => ({ host: address, port }));
}

async function servicesOf(host: string, resolver: Resolver): Promise<readonly HostPort[]> {
  const silence = Promise.withResolvers<readonly HostPort[]>();
  const timer = setTimeout(() => silence.resolve([]), SERVICES_WAIT_MS);
  try {
    return await Promise.race([resolver.services(host), silence.promise]);
  } catch {
    // Most names have none.
    return [];
  } finally {
    clearTimeout(timer);
  }
}

/** A line each, or a JSON list: `HOST[:PORT]`. */
async function findByUrl(url: URL, signal: AbortSignal): Promise<readonly HostPort[]> {
  const unavailable = (why: string, cause?: unknown) =>
    new Failure('member_unreachable', `${url.origin}${url.pathname} names no members: ${why}`, { cause });
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_WAIT_MS)]),
      redirect: 'error',
    });
    if (!answer.ok) throw unavailable(`it answered ${answer.status}`);
    const found = wordsOf(await readBounded(answer)).map(parseHostPort);
    const members = found.filter((at) => at !== undefined).slice(0, ADDRESSES_MAX);
    if (members.length === 0) throw unavailable('there is no HOST[:PORT] in its answer');
    return members;
  } catch (error) {
    throw error instanceof Failure ? error : unavailable('it cannot be read', error);
  }
}

async function readBounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer is larger than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function wordsOf(text: string): readonly string[] {
  if (!text.trimStart().startsWith('[')) return text.split(/[\r\n,]+/).filter((line) => line.trim() !== '');
  const list: unknown = JSON.parse(text);
  return Array.isArray(list) ? list.filter((word) => typeof word === 'string') : [];
}
